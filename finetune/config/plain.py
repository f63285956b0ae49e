"""From checked objects back to plain values: what config.yaml, the trackers and a run's identity hold."""

import dataclasses
from enum import Enum
from typing import Any

from omegaconf import OmegaConf

from finetune import settings
from finetune.config.build import TARGET
from finetune.config.schema import RunConfig


def plain(config: RunConfig) -> dict[str, Any]:
    """Return every setting as JSON values, nested as on the command line; a choice says its class as `_target_`."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def as_yaml(config: RunConfig) -> str:
    """Return every setting as YAML."""
    return OmegaConf.to_yaml(OmegaConf.create(plain(config)))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    kind = type(value)
    target = {} if kind.__module__ == settings.__name__ else {TARGET: f"{kind.__module__}.{kind.__qualname__}"}
    return target | {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
