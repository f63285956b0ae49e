"""The published figures, and the strictness of what reads them."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from finetune.config.application import compose_and_call
from finetune.config.build import TARGET
from finetune.config.parse import parse
from finetune.config.plain import plain
from finetune.data.mixture import Mixture
from finetune.evaluate.metrics.names import score_names
from finetune.leaderboard.figures import parse_figures, published

ROW: dict[str, Any] = {
    "experiment": "docvqa",
    "score": "ANLS",
    "split": "val",
    "called": "val",
    "percent": True,
    "source": "A paper",
    "values": {"paligemma-3b": {"224": 37.8, "448": 74}},
}
SOURCES = {"A paper": "https://paper.example"}
DATASETS = {"docvqa": "published.DocVqa"}


def read(*rows: Any, sources: Any = SOURCES, datasets: Any = DATASETS) -> Any:
    text = json.dumps({"sources": sources, "datasets": datasets, "figures": list(rows)})
    return parse_figures(text, "figures.json")


def test_every_figure_names_an_experiment_that_is_there_and_a_source(repository: Path) -> None:
    known = {path.stem for path in (repository / "conf" / "experiment").glob("*.yaml")}
    figures = published()
    assert {row.experiment for row in figures.rows} <= known
    assert {row.source for row in figures.rows} == set(figures.sources)
    assert {row.experiment for row in figures.rows} == set(figures.datasets)


@pytest.mark.parametrize("experiment", sorted({row.experiment for row in published().rows}))
def test_every_figures_score_and_data_set_are_those_of_its_experiment(experiment: str, tmp_path: Path) -> None:
    composed: list[DictConfig] = []
    words = [f"experiment={experiment}", "model=tiny", f"dataset.root={tmp_path}"]
    compose_and_call("train", words, lambda job: composed.append(job.composed))
    config = parse(composed[0])
    assert plain(config)["dataset"][TARGET] == published().datasets[experiment]
    recipe = config.recipe
    known = score_names(
        {name: part.recipe for name, part in recipe.parts.items()} if isinstance(recipe, Mixture) else {"": recipe}
    )
    for row in published().of(experiment):
        # The score of a test set alone goes without the set's name.
        assert row.score in known or row.score.removesuffix(f"/{row.split}") in known, row


def test_percentages_lie_between_0_and_100_unless_they_are_ciders() -> None:
    for row in published().rows:
        highest = max(row.values.values())
        assert min(row.values.values()) > 0
        assert highest <= (200 if row.score.startswith("CIDEr") else 100 if row.percent else 1), row


@pytest.mark.parametrize(
    ("experiment", "score", "split", "place", "value"),
    [
        ("docvqa", "ANLS", "test", ("paligemma-3b", 896), 84.77),
        ("docvqa", "ANLS", "val", ("paligemma2-10b", 448), 76.6),
        ("cococap", "CIDEr", "val", ("paligemma2-28b", 224), 144.0),
        ("refcoco_seg", "mIoU/refcocog_val", "refcocog_val", ("paligemma-3b", 896), 72.22),
        ("vqav2", "vqa_accuracy", "val[-10240:]", ("paligemma-3b", 448), 84.6),
        ("scicap", "BLEU-4", "test", ("paligemma-3b", 224), 0.192),
    ],
)
def test_figures_are_found_by_experiment_score_split_model_and_resolution(
    experiment: str, score: str, split: str, place: tuple[str, int], value: float
) -> None:
    rows = [row for row in published().of(experiment) if (row.score, row.split) == (score, split)]
    assert [row.values[place] for row in rows if place in row.values] == [value]


def test_an_experiment_that_is_no_transfer_has_none() -> None:
    assert published().of("demo") == published().of(None) == ()


def test_a_row_is_read_as_it_is_written() -> None:
    (row,) = read(ROW).rows
    assert (row.experiment, row.score, row.percent) == ("docvqa", "ANLS", True)
    assert row.values == {("paligemma-3b", 224): 37.8, ("paligemma-3b", 448): 74.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "Hearsay"}, "figures\\[0\\]: source 'Hearsay' is not among the sources: A paper"),
        ({"note": "x"}, "must have experiment, score, split, called, percent, source, values, and nothing else"),
        ({"percent": 1}, "percent must be true or false, got 1"),
        ({"split": ""}, "must be texts"),
        ({"values": {}}, "values must be an object of models"),
        ({"values": {"paligemma-3b": 3}}, "values must be an object of models"),
        ({"values": {"paligemma-3b": {"big": 3}}}, "values.paligemma-3b.big must be a number by image size, got 3"),
        ({"values": {"paligemma-3b": {"224": "3"}}}, "must be a number by image size, got '3'"),
        ({"values": {"paligemma-3b": {"224": float("nan")}}}, "must be finite, got nan"),
    ],
)
def test_what_is_not_of_the_form_is_refused_by_its_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(ROW | change)


def test_two_figures_for_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="two figures for docvqa ANLS val paligemma-3b 224"):
        read(ROW, ROW)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"sources": {}, "figures": []}', '{"sources": [], "datasets": {}, "figures": []}']
)
def test_a_file_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^figures\.json"):
        parse_figures(text, "figures.json")


def test_figures_must_be_a_list() -> None:
    with pytest.raises(ValueError, match="figures must be a list"):
        parse_figures('{"sources": {}, "datasets": {}, "figures": {}}', "figures.json")


@pytest.mark.parametrize(
    ("datasets", "message"),
    [
        ({}, "datasets has none for docvqa"),
        ({"docvqa": 3}, "datasets must name the class of each experiment's data set"),
    ],
)
def test_an_experiments_data_set_must_be_named(datasets: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(ROW, datasets=datasets)
