"""Images that the user names, for recipes that need labels and for those that do not."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets_adapters.jsonl import JsonLines
from datasets_adapters.scenes import Scenes
from finetune.commands.given_images import ingredients_of
from finetune.config.commands import PredictCommand
from finetune.config.schema import RunConfig
from recipes.captioning import Captioning
from recipes.detection import Detection


@pytest.fixture
def command(tmp_path: Path) -> PredictCommand:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    return PredictCommand(images=[str(tmp_path / "a.png")])


def _config(recipe: Any, dataset: Any) -> RunConfig:
    return RunConfig(recipe=recipe, dataset=dataset)


def test_labels_are_those_of_the_runs_data_set(command: PredictCommand) -> None:
    (ingredient,) = ingredients_of(_config(Detection(), Scenes()), command)
    assert ingredient.recipe.ask(ingredient.source[0]).prefix.startswith("detect circle ; ")


def test_where_the_data_set_is_not_at_hand_the_reason_is_told(command: PredictCommand, tmp_path: Path) -> None:
    config = _config(Detection(), JsonLines(root=str(tmp_path / "nowhere")))
    with pytest.raises(ValueError, match=r"set recipe\.labels=.*; the run's own data set cannot be asked: .*nowhere"):
        ingredients_of(config, command)


def test_a_recipe_without_labels_needs_no_data_set(command: PredictCommand, tmp_path: Path) -> None:
    for recipe in (Captioning(), Detection(labels=["cat"])):
        (ingredient,) = ingredients_of(_config(recipe, JsonLines(root=str(tmp_path / "nowhere"))), command)
        assert ingredient.source[0].label_set == ()
