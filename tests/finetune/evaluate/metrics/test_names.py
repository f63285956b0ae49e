"""Scores are known by name before anything is loaded."""

import importlib
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from datasets_adapters.scenes import Scenes
from finetune.evaluate.metrics.names import check_best_metric, score_names
from finetune.types import Recipe
from recipes.captioning import Captioning
from recipes.detection import Detection

CONF = Path(__file__).parents[4] / "conf" / "recipe"
TARGETS = {path.stem: str(OmegaConf.load(path)._target_) for path in sorted(CONF.glob("*.yaml"))}
RECIPES = {name: target for name, target in TARGETS.items() if target.startswith("recipes.")}


@pytest.mark.parametrize("target", RECIPES.values(), ids=RECIPES)
def test_a_recipe_scores_under_the_names_that_it_announces(target: str) -> None:
    module, _, name = target.rpartition(".")
    recipe: Recipe = getattr(importlib.import_module(module), name)()
    source = Scenes(num_eval=3).open("eval")
    for metric in recipe.metrics().values():
        for index in range(3):
            metric.update(recipe.decode("a red star", source[index]), source[index])
        scored = metric.compute()
        # No scene has an object of every size, and `verbatim` scores what is not annotated here.
        left_out = {name for name in metric.names() if "mAP_" in name} if scored else set(metric.names())
        assert set(metric.names()) - left_out <= set(scored) <= set(metric.names())
    assert score_names({"": recipe}) == tuple(name for metric in recipe.metrics().values() for name in metric.names())


def test_the_parts_of_a_mixture_announce_their_scores_by_part() -> None:
    names = score_names({"words": Captioning(), "shapes": Detection()})
    assert {"words/CIDEr", "shapes/mAP50"} <= set(names)
    check_best_metric("shapes/mAP50", {"words": Captioning(), "shapes": Detection()})


@pytest.mark.parametrize(
    ("name", "advice"),
    [("mAP5", "did you mean .*mAP50"), ("boxes_per_image", "known: .*mAP50"), ("shapes/mAP50", "known: .*recall")],
)
def test_a_name_by_which_nothing_can_be_best_is_refused_with_those_that_can(name: str, advice: str) -> None:
    with pytest.raises(ValueError, match=f"evaluation.best_metric={name} is no score of this run .*{advice}"):
        check_best_metric(name, {"": Detection()})
