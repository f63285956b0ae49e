"""The typed base of every command's YAML: the run's sections and the command's own settings, side by side."""

import dataclasses
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from finetune.config.bench import BenchCommand
from finetune.config.chaos import ChaosCommand
from finetune.config.commands import (
    EvaluateCommand,
    ExportCommand,
    InspectCommand,
    PlanCommand,
    PredictCommand,
    ReportCommand,
    VerifyCommand,
)
from finetune.config.resolution import register_resolvers
from finetune.config.schema import RunConfig

# The settings that a command has beside the run's; None: no others.
COMMANDS: dict[str, type[Any] | None] = {
    "train": None,
    "evaluate": EvaluateCommand,
    "predict": PredictCommand,
    "export": ExportCommand,
    "inspect": InspectCommand,
    "report": ReportCommand,
    "plan": PlanCommand,
    "doctor": None,
    "verify": VerifyCommand,
    "bench": BenchCommand,
    "chaos": ChaosCommand,
}
# Commands whose settings are their own alone: what a run is made of takes no part, and is refused.
STANDALONE = ("bench", "report")


def register(command: str) -> None:
    """Store the command's schema, from which its YAML starts, so that Hydra refuses unknown names and wrong types.

    There is one at a time, because Hydra copies all that is stored whenever it looks at a group.
    """
    register_resolvers()
    fields = [_schema_field(field) for field in (*own_fields(COMMANDS[command]), *dataclasses.fields(RunConfig))]
    schema = dataclasses.make_dataclass(f"{command.capitalize()}Settings", fields)
    ConfigStore.instance().store(name="command_schema", node=schema)


def own_fields(own: type[Any] | None) -> "tuple[dataclasses.Field[Any], ...]":
    """Return the fields of a command's own settings."""
    return dataclasses.fields(own) if own is not None else ()


def _schema_field(field: "dataclasses.Field[Any]") -> tuple[str, Any, Any]:
    if field.default_factory is not dataclasses.MISSING:
        return field.name, field.type, dataclasses.field(default_factory=field.default_factory)
    default = MISSING if field.default is dataclasses.MISSING else field.default
    return field.name, field.type, dataclasses.field(default=default)
