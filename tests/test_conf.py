"""Every YAML under conf/ is what it says: found by globbing, so that a new file is tested with no edit here."""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from finetune.config.parse import parse
from finetune.config.register import COMMANDS, own_fields, register
from finetune.names import dotted_names
from finetune.reporting.redaction import secrets_of

CONF = Path(__file__).parent.parent / "conf"
# Files of these groups hold differences; those of every other group name a dataclass.
DIFFERENCES = ("experiment", "debug")
CHOICES = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name not in DIFFERENCES)
COMBINATIONS = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name in DIFFERENCES)


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    register("train")
    with initialize_config_module("conf", version_base="1.3"):
        yield


def title(path: Path) -> str:
    return f"{path.parent.name}={path.stem}"


def load(path: Path) -> dict[str, Any]:
    loaded = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(loaded, dict)
    return {str(key): value for key, value in loaded.items()}


def missing_settings(composed: DictConfig) -> list[str]:
    return sorted(OmegaConf.missing_keys(composed))


def compose_complete(*overrides: str) -> DictConfig:
    """Compose the train command, with any text for settings that the user must give."""
    given = [f"{name}=given" for name in missing_settings(compose("train", list(overrides)))]
    return compose("train", [*overrides, *given])


def leaves(settings: Mapping[str, Any]) -> list[str]:
    names = dotted_names(settings)
    return [name for name in names if not any(other.startswith(f"{name}.") for other in names)]


def _at(settings: Any, name: str) -> Any:
    for part in name.split("."):
        settings = settings[part]
    return settings


@pytest.mark.parametrize("path", CHOICES, ids=title)
def test_a_choice_lists_every_field_of_its_dataclass(path: Path) -> None:
    settings = load(path)
    module, _, name = settings.pop("_target_").rpartition(".")
    fields = dataclasses.fields(getattr(importlib.import_module(module), name))
    settings.pop("defaults", None)
    assert set(settings) == {field.name for field in fields}


@pytest.mark.parametrize("path", CHOICES, ids=title)
def test_a_choice_requires_what_its_dataclass_requires(path: Path) -> None:
    settings = load(path)
    module, _, name = settings["_target_"].rpartition(".")
    for field in dataclasses.fields(getattr(importlib.import_module(module), name)):
        has_default = not (field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING)
        assert not has_default or settings[field.name] != "???", f"{field.name} has a default and is asked for"


@pytest.mark.parametrize("path", [*CHOICES, *COMBINATIONS], ids=title)
def test_a_choice_composes_and_parses(path: Path) -> None:
    config = parse(compose_complete(title(path)))
    assert dataclasses.is_dataclass(config.model)


@pytest.mark.parametrize("path", COMBINATIONS, ids=title)
def test_an_experiment_holds_only_differences(path: Path) -> None:
    settings = load(path)
    overrides = [entry for entry in settings.pop("defaults", []) if isinstance(entry, dict)]
    # What an experiment adds to a mixture comes with a plus on the command line; what it replaces does not.
    choices = [
        f"{'' if key.startswith('override ') else '+'}{key.split('/')[-1]}={value}"
        for entry in overrides
        for key, value in entry.items()
    ]
    without, with_it = compose("train", choices), compose("train", [title(path)])
    # What depends on the resolution may be the default at one of them.
    settled = [name for name in leaves(settings) if "${at_resolution" not in str(_at(settings, name))]
    same = [name for name in settled if OmegaConf.select(without, name) == OmegaConf.select(with_it, name)]
    if path.parent.name == "debug":
        # It comes on top of experiments, whose values it replaces.
        transfer = compose("train", ["experiment=vqav2"])
        same = [name for name in same if OmegaConf.select(transfer, name) == OmegaConf.select(with_it, name)]
    assert not same, f"{path.name} repeats what holds without it: {same}"


@pytest.mark.parametrize("path", CHOICES, ids=title)
def test_no_setting_takes_a_secret_since_the_command_line_is_kept(path: Path) -> None:
    composed = OmegaConf.to_container(compose_complete(title(path)))
    assert isinstance(composed, dict)
    own = {field.name for command in COMMANDS for field in own_fields(COMMANDS[command])}
    settings = {str(key): value for key, value in composed.items()}
    names = own | {name.rpartition(".")[2] for name in dotted_names(settings)}
    assert {"run", "learning_rate"} <= names
    assert secrets_of(dict.fromkeys(names, "given")) == []


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: str(path.relative_to(CONF)))
def test_no_name_is_read_as_a_boolean_by_yaml(path: Path) -> None:
    booleans = {"no", "yes", "on", "off", "true", "false", "null", "y", "n", "~"}
    loaded = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(loaded, dict)
    assert path.stem not in booleans
    assert all(isinstance(key, str) and key.lower() not in booleans for key in loaded)


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=title)
def test_a_choice_says_in_its_first_line_what_it_is(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("# @package")]
    assert lines[0].startswith("# ")


def test_every_command_has_its_file_and_every_file_its_command() -> None:
    assert {path.stem for path in CONF.glob("*.yaml")} - {"base"} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_file_of_a_command_adds_nothing_to_the_run(command: str) -> None:
    own = {field.name for field in own_fields(COMMANDS[command])}
    train = OmegaConf.to_container(compose("train"))
    register(command)
    settings = OmegaConf.to_container(compose(command))
    register("train")
    assert isinstance(settings, dict)
    assert {key: value for key, value in settings.items() if key not in own} == train
