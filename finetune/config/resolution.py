"""Settings that depend on the checkpoint, in an experiment.

    ${at_resolution:{224: 1e-5, 448: 3e-6}}   the value for its resolution
    ${if_published:original}                  the value for what the paper's authors published, null for other weights

What is typed on the command line replaces the whole, as with any other value.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from finetune.model.folder import read_facts
from finetune.model.npz_checkpoint import inspect_npz

_PUBLISHED = (224, 448, 896)
_PUBLISHER = "google/"
# The end of a published name, and of one that keeps to its form.
_VARIANT = re.compile(rf".*-({'|'.join(map(str, _PUBLISHED))})")


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
        ValueError: If the paper has no values for a published size, or several and the model's size is not known.
    """
    values, model = dict(table), _root_.get("model") or {}
    side = _side_of(model)
    # A variant that tells none is no variant, and the model's own to refuse.
    is_unknown = side is None and model.get("repository") is not None and model.get("variant") is None
    if is_unknown and len(set(values.values())) > 1:
        raise ValueError(
            f"the paper's values differ by resolution, and model.repository={model['repository']} does not tell its "
            "own; give model.image_size"
        )
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
    """Return the side of a model's image; None: nothing that was said, or lies on this machine, tells it."""
    if isinstance(size := model.get("image_size"), int):
        return size
    if match := _VARIANT.fullmatch(str(model.get("variant") or model.get("repository") or "")):
        return int(match[1])
    return None if model.get("path") is None else _side_at(Path(str(model["path"])))


def _side_at(path: Path) -> int | None:
    """Return what a checkpoint says of itself; one that cannot be read is the model's own to refuse."""
    try:
        if path.is_dir():
            return read_facts(path, setting="model.path").image_size
        return inspect_npz(path, setting="model.path").dimensions.image_size
    except ValueError:
        return None
