from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from finetune.config.commands import ExportCommand, ExportFormat, PredictCommand
from finetune.config.parse import parse, parse_command
from finetune.config.register import COMMANDS, own_fields, register
from finetune.config.schema import RunConfig
from finetune.data.mixture import Mixture
from finetune.settings import Precision, Resize


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    with initialize_config_module("conf", version_base="1.3"):
        yield


def composed(command: str, *overrides: str) -> DictConfig:
    register(command)
    return compose(command, list(overrides))


def parsed(*overrides: str, command: str = "train") -> RunConfig:
    return parse(composed(command, *overrides), [field.name for field in own_fields(COMMANDS[command])])


def test_sections_and_choices_come_out_as_our_own_types() -> None:
    config = parsed("data.resize=hf", "training.precision=bf16", "model=tiny1")
    assert config.data.resize is Resize.hf
    assert config.training.precision is Precision.bf16
    assert config.model.generation == 1
    assert not any(OmegaConf.is_config(value) for value in vars(config).values())


def test_what_is_not_said_is_the_default_of_the_schema() -> None:
    config, default = parsed(), RunConfig()
    for name in ("seed", "runs", "resume", "freeze", "data", "training", "evaluation", "checkpoint", "self_test"):
        assert getattr(config, name) == getattr(default, name)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_reads_the_same_run(command: str) -> None:
    required = ["run=runs/x"] if command == "export" else []
    assert parsed("seed=3", *required, command=command) == parsed("seed=3")


def test_a_commands_own_settings_lie_beside_the_runs() -> None:
    predict = composed("predict", "images=[a.png,b.png]", "prefix=detect cat")
    assert parse_command(predict, PredictCommand) == PredictCommand(images=["a.png", "b.png"], prefix="detect cat")
    export = composed("export", "run=runs/x", "format=merged")
    assert parse_command(export, ExportCommand) == ExportCommand(run="runs/x", format=ExportFormat.merged)


def test_a_mixture_holds_built_recipes_and_data_sets() -> None:
    config = parsed("recipe=mixture", "+dataset@recipe.parts.words.dataset=scenes", "recipe.parts.words.weight=2")
    assert isinstance(config.recipe, Mixture)
    assert config.recipe.parts["words"].weight == 2
    assert config.recipe.parts["words"].dataset == config.dataset
    assert config.recipe.parts["shapes"].recipe == parsed("recipe=detection").recipe


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+foo=1"], "unknown setting foo"),
        (["+training.max_step=1"], "unknown setting training.max_step; did you mean training.max_steps"),
        (
            ["model=tiny_random", "++model.generatoin=1"],
            "unknown setting model.generatoin; did you mean model.generation",
        ),
        (["+recipe.parts.x.y=1"], "unknown setting recipe.parts"),
        (["recipe=mixture", "recipe.parts.words.weight=0"], "recipe.parts.words.weight must be above 0"),
        (["recipe=mixture", "+recipe.parts.words.wieght=1"], "did you mean recipe.parts.words.weight"),
        (["model=local"], "model.path must be given: "),
        (["data.row_tokens=100"], r"data.row_tokens \(100\) must exceed data.max_text_tokens \(128\)"),
        (["evaluation.patience=2", "evaluation.best_metric=mAP"], "evaluation.patience needs evaluation.every_steps"),
        (["evaluation.patience=2"], "evaluation.patience needs best_metric"),
        (["seed=-1"], "^seed must be at least 0"),
        (["training.max_steps=${nowhere}"], "training.max_steps: Interpolation key 'nowhere' not found"),
        (
            ["experiment=nlvr2", "model.repository=me/mine", "model.variant=null", "dataset.root=x"],
            "^(optimizer.learning_rate|training.epochs): the paper's values differ by resolution",
        ),
        (["recipe._target_=finetune.settings.PartFlags"], "unknown setting recipe."),
        (["~recipe"], "recipe must be chosen"),
    ],
)
def test_what_cannot_be_is_refused_by_name(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed(*overrides)


@pytest.mark.parametrize("choice", ["model", "peft", "dataset", "recipe"])
def test_a_dataclass_of_another_kind_is_no_choice(choice: str) -> None:
    train = composed("train")
    settings: dict[str, Any] = {"_target_": "finetune.settings.PartFlags"}
    OmegaConf.update(train, choice, settings, merge=False, force_add=True)
    with pytest.raises(ValueError, match=f"{choice} names PartFlags, which is no {choice}"):
        parse(train)
