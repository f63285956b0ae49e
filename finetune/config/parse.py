"""The border between Hydra and the project: past `parse` there is no DictConfig, and nothing unchecked."""

import dataclasses
import re
from collections.abc import Collection, Sequence
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from finetune.config.build import PACKAGES, construct
from finetune.config.schema import RunConfig
from finetune.data.mixture import Mixture
from finetune.peft.method import PeftMethod
from finetune.types import Dataset, Recipe

T = TypeVar("T")

# What the rest of the project calls on a model's choice; the others are checked by their Protocols.
_MODEL_METHODS = ("check", "load")


def parse(composed: DictConfig, command_settings: Collection[str] = ()) -> RunConfig:
    """Return the run's configuration with every choice built and every value checked.

    Args:
        composed: What Hydra composed.
        command_settings: Names beside the run's own, which `parse_command` reads.

    Raises:
        ValueError: If a setting is unknown, missing, of the wrong type, out of range or at odds with another one.
    """
    settings = {key: value for key, value in _plain(composed).items() if key not in command_settings}
    plugins = settings.get("plugins") or []
    config = construct(RunConfig, settings, path="", packages=(*PACKAGES, *plugins))
    _check_choices(config)
    _check_together(config)
    return config


def parse_command(composed: DictConfig, cls: type[T]) -> T:
    """Return the settings of the command itself. Raises as `parse`."""
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    plain = _plain(composed)
    return construct(cls, {name: plain[name] for name in names if name in plain}, path="", packages=PACKAGES)


def _plain(composed: DictConfig) -> dict[str, Any]:
    """Resolve interpolations and leave OmegaConf behind; enums stay enums, missing values stay '???'."""
    try:
        plain = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        first_line = str(error.msg).partition("\n")[0]
        # A resolver of our own says all that there is to say.
        told = re.sub(r"^ValueError raised while resolving interpolation: ", "", first_line)
        raise ValueError(f"{error.full_key}: {told}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _check_choices(config: RunConfig) -> None:
    for name in ("model", "peft", "dataset", "recipe", "optimizer", "schedule", "tracking", "distributed"):
        if not dataclasses.is_dataclass(getattr(config, name)):
            raise ValueError(f"{name} must be chosen, as {name}=<choice>; finetune train --help lists the choices")
    _check_methods("model", config.model, _MODEL_METHODS)
    _check_methods("peft", config.peft, _methods(PeftMethod))
    _check_methods("dataset", config.dataset, _methods(Dataset))
    if not isinstance(config.recipe, Mixture):
        _check_methods("recipe", config.recipe, _methods(Recipe))
        return
    for name, part in config.recipe.parts.items():
        _check_methods(f"recipe.parts.{name}.recipe", part.recipe, _methods(Recipe))
        if part.dataset is not None:
            _check_methods(f"recipe.parts.{name}.dataset", part.dataset, _methods(Dataset))


def _check_methods(path: str, choice: object, methods: Sequence[str]) -> None:
    missing = [method for method in methods if not hasattr(choice, method)]
    if missing:
        kind = path.rpartition(".")[2]
        raise ValueError(f"{path} names {type(choice).__name__}, which is no {kind}: it has no {', '.join(missing)}")


def _methods(protocol: type) -> tuple[str, ...]:
    return tuple(name for name in vars(protocol) if not name.startswith("_"))


def _check_together(config: RunConfig) -> None:
    """Refuse values that are each right and together wrong."""
    data, evaluation = config.data, config.evaluation
    if data.row_tokens is not None and data.row_tokens <= data.max_text_tokens:
        raise ValueError(
            f"data.row_tokens ({data.row_tokens}) must exceed data.max_text_tokens ({data.max_text_tokens}) "
            "by at least the image's tokens, so that a whole example fits into a row"
        )
    if evaluation.patience is not None and evaluation.every_steps is None:
        raise ValueError("evaluation.patience needs evaluation.every_steps: how often to look for a better score")
