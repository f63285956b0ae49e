from dataclasses import fields

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from finetune.config.register import COMMANDS, own_fields, register
from finetune.config.schema import RunConfig


def schema(command: str) -> DictConfig:
    register(command)
    node = ConfigStore.instance().load("command_schema.yaml").node
    assert isinstance(node, DictConfig)
    return node


@pytest.mark.parametrize("command", COMMANDS)
def test_a_schema_holds_the_commands_settings_and_the_runs(command: str) -> None:
    own = [field.name for field in own_fields(COMMANDS[command])]
    assert list(schema(command)) == [*own, *(field.name for field in fields(RunConfig))]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_setting_hides_one_of_the_run(command: str) -> None:
    assert not {field.name for field in own_fields(COMMANDS[command])} & {field.name for field in fields(RunConfig)}


def test_defaults_are_not_shared_between_two_schemas() -> None:
    OmegaConf.update(schema("train"), "training.max_steps", 7)
    assert schema("train").training.max_steps == RunConfig().training.max_steps
