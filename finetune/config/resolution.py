"""Settings that depend on the checkpoint, in an experiment.

    ${at_resolution:{224: 1e-5, 448: 3e-6}}   the value for its resolution
    ${if_published:original}                  the value for what the paper's authors published, null for other weights

What is typed on the command line replaces the whole, as with any other value.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

_PUBLISHED = (224, 448, 896)
_PUBLISHER = "google/"
_VARIANT = re.compile(r".*-(\d+)")


def register_resolvers() -> None:
    """Teach OmegaConf both; a second time changes nothing."""
    OmegaConf.register_new_resolver("at_resolution", _at_resolution, replace=True)
    OmegaConf.register_new_resolver("if_published", _if_published, replace=True)


def _if_published(value: Any, *, _root_: DictConfig) -> Any:
    model = _root_.get("model") or {}
    repository, path = (str(model.get(key) or "") for key in ("repository", "path"))
    return value if repository.startswith(_PUBLISHER) or path.endswith(".npz") else None


def _at_resolution(table: Mapping[int, Any], *, _root_: DictConfig) -> Any:
    """Return the table's value for the side of the model's image, in pixels.

    A model of no published size, such as the tiny one, takes the values of the smallest.

    Raises:
        ValueError: If the paper has no values for a published size.
    """
    values = dict(table)
    side = _side_of(_root_.get("model") or {})
    if side in values:
        return values[side]
    if side in _PUBLISHED:
        sides = " and ".join(str(known) for known in sorted(values))
        raise ValueError(
            f"the paper has no value for {side} pixels here, only for {sides}; choose model.variant=pt-{max(values)} "
            "or give this setting a value of your own"
        )
    return values[min(values)]


def _side_of(model: Mapping[str, Any]) -> int | None:
    if model.get("image_size") is not None:
        return int(model["image_size"])
    if match := _VARIANT.fullmatch(str(model.get("variant") or model.get("repository") or "")):
        return int(match[1])
    return _side_in_folder(str(model.get("path") or ""))


def _side_in_folder(path: str) -> int | None:
    """Return what a folder's config.json says; whether it is a usable model is the model's own to check."""
    try:
        return int(json.loads((Path(path) / "config.json").read_text(encoding="utf-8"))["vision_config"]["image_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
