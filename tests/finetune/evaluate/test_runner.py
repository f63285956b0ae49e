"""Evaluation: every sample once, in order, whoever generated for it."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from PIL import Image

from finetune.data.encode import Encoded
from finetune.data.prefixes import Asked
from finetune.data.skips import Skip
from finetune.evaluate.answers import (
    Answer,
    EvaluationPart,
    EvaluationStoppedError,
    Evaluator,
    answer,
    answers_in_order,
)
from finetune.evaluate.runner import evaluate, evaluate_all, report_evaluation, rows_of
from finetune.geometry import Box
from finetune.reporting.description import RunDescription
from finetune.reporting.main_reporter import MainReporter
from finetune.reporting.progress import LineProgress, NoProgress
from finetune.reporting.run_folder import RunFolder
from finetune.reporting.trackers import NoTracker
from finetune.types import Example, ImagePixels, Instance, Metric, Prediction, Sample, TokenizedExample

T = TypeVar("T")
_FIRST_ID = 100


class Alone:
    """The only rank."""

    is_main = True

    def gather(self, values: Sequence[Any]) -> list[Any]:
        return list(values)

    def on_main(self, function: Callable[[], T]) -> T:
        return function()


@dataclass
class Second(Alone):
    """The main rank of two, which hears of the other's values first."""

    others: list[list[Any]]
    heard: list[list[Any]] = field(default_factory=list)

    def gather(self, values: Sequence[Any]) -> list[Any]:
        self.heard.append(list(values))
        return [*self.others.pop(0), *values]


class Exactness:
    """Share of samples whose text is the caption; remembers whom it saw."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._scores: list[float] = []

    def names(self) -> tuple[str, ...]:
        return ("exact", "seen")

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        self.seen.append(sample.sample_id)
        if not sample.captions:
            return None
        self._scores.append(float(prediction.text == sample.captions[0]))
        return self._scores[-1]

    def compute(self) -> dict[str, float]:
        return {"exact": sum(self._scores) / len(self._scores), "seen": float(len(self.seen))}


@dataclass(frozen=True)
class Naming:
    """Says what is in a picture; always finds one box."""

    metric: Exactness = field(default_factory=Exactness)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        raise NotImplementedError

    def ask(self, sample: Sample) -> Example:
        return Example(sample_id=sample.sample_id, images=sample.images, prefix=f"name {sample.sample_id}", suffix="")

    def selection(self) -> None:
        return None

    def reference(self, sample: Sample) -> str:
        return " / ".join(sample.captions)

    def decode(self, text: str, sample: Sample) -> Prediction:
        box = Box(top=0.0, left=0.0, bottom=0.5, right=0.5)
        return Prediction(sample_id=sample.sample_id, text=text, objects=(Instance(label="it", box=box),))

    def metrics(self) -> Mapping[str, Metric]:
        return {"exactness": self.metric}


@dataclass
class Prefixes:
    """Samples by index; `skipped` ones cannot be used."""

    indices: Sequence[int]
    total: int
    skipped: Sequence[int] = ()

    @property
    def largest_share(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Asked | Skip]:
        for index in self.indices:
            yield skip(index) if index in self.skipped else asked(index)


def sample(index: int) -> Sample:
    pixels = np.full((300, 600, 3), 40 * index, dtype=np.uint8)
    return Sample(
        sample_id=f"s{index}",
        origin=f"test:{index}",
        images=(ImagePixels(name=f"{index}", pixels=pixels),),
        image_size=(300, 600),
        captions=(f"picture {index}",) if index != 3 else (),
        instances=(),
    )


def skip(index: int) -> Skip:
    return Skip(sample_id="", origin=f"test:{index}", field_name="image", code="empty", message="it is", index=index)


def asked(index: int) -> Asked:
    ids = np.array([_FIRST_ID + index], dtype=np.int64)
    return Asked(
        index=index,
        encoded=Encoded(
            sample=sample(index),
            example=Naming().ask(sample(index)),
            tokenized=TokenizedExample(
                sample_id=f"s{index}", input_ids=ids, is_suffix=np.zeros(1, dtype=np.bool_), num_image_tokens=0
            ),
            pixels_u8=torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
            image_keys=(f"{index}",),
        ),
    )


def echo(prefixes: Iterator[Asked]) -> Iterator[tuple[Asked, list[int]]]:
    """Generate each prefix's own id, and for sample 2 another one; later samples of a pair are done first."""
    while pair := list(islice(prefixes, 2)):
        for one in reversed(pair):
            (own,) = one.encoded.tokenized.input_ids.tolist()
            yield one, [own + 50] if one.index == 2 else [own]


def evaluator(ranks: Any = None, gallery_size: int = 2, **changes: Any) -> Evaluator:
    return Evaluator(
        generate_ids=echo,
        decode_ids=lambda ids: f"picture {ids[0] - _FIRST_ID}",
        round_size=2,
        ranks=ranks or Alone(),
        progress=NoProgress(),
        gallery_size=gallery_size,
        **changes,
    )


def test_each_sample_is_scored_once_in_order_with_its_own_score() -> None:
    recipe = Naming()
    result = evaluate(EvaluationPart(recipe=recipe, prefixes=Prefixes(range(5), 5)), evaluator())
    assert recipe.metric.seen == ["s0", "s1", "s2", "s3", "s4"]
    assert dict(result.values) == {"exact": 0.75, "seen": 5.0}
    assert [(row.sample_id, row.score) for row in result.rows] == [
        ("s0", 1.0),
        ("s1", 1.0),
        ("s2", 0.0),
        ("s3", None),
        ("s4", 1.0),
    ]
    assert result.num_samples == 5
    assert result.skips == ()


def test_a_row_holds_what_was_asked_said_and_true() -> None:
    result = evaluate(EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(3), 3)), evaluator())
    row = result.rows[2]
    assert (row.prefix, row.text, row.reference) == ("name s2", "picture 52", "picture 2")
    assert [instance.label for instance in row.predicted] == ["it"]
    assert row.truth == ()


def test_only_the_gallery_has_thumbnails_in_the_proportions_of_the_image() -> None:
    result = evaluate(EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(4), 4)), evaluator(gallery_size=3))
    thumbnails = [row.thumbnail_jpeg for row in result.rows]
    assert [thumbnail is None for thumbnail in thumbnails] == [False, False, False, True]
    assert thumbnails[1] is not None
    assert Image.open(io.BytesIO(thumbnails[1])).size == (448, 224)


class InPairs(Prefixes):
    """Examples that show their image twice."""

    def __iter__(self) -> Iterator[Asked | Skip]:
        for one in super().__iter__():
            assert isinstance(one, Asked)
            example = one.encoded.example
            yield replace(one, encoded=replace(one.encoded, example=replace(example, images=example.images * 2)))


class Saying(Naming):
    """Finds no box."""

    def decode(self, text: str, sample: Sample) -> Prediction:
        return Prediction(sample_id=sample.sample_id, text=text)


def test_a_thumbnail_shows_all_images_unless_boxes_are_drawn_on_the_first() -> None:
    for recipe, size in ((Saying(), (452, 112)), (Naming(), (448, 224))):
        result = evaluate(EvaluationPart(recipe=recipe, prefixes=InPairs(range(2), 2)), evaluator(gallery_size=3))
        assert result.rows[0].thumbnail_jpeg is not None
        assert Image.open(io.BytesIO(result.rows[0].thumbnail_jpeg)).size == size


def test_samples_that_cannot_be_used_are_told_and_the_rest_is_scored() -> None:
    prefixes = Prefixes(range(5), 5, skipped=(0, 1, 4))
    result = evaluate(EvaluationPart(recipe=Naming(), prefixes=prefixes), evaluator())
    assert [row.sample_id for row in result.rows] == ["s2", "s3"]
    assert [one.index for one in result.skips] == [0, 1, 4]


def test_answers_of_other_ranks_take_their_place_in_the_order() -> None:
    of_first = answer(EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(5), 5)), evaluator())[0]
    recipe = Naming()
    others = [[False], [of_first[2], of_first[0]], [False], [of_first[4]]]
    part = EvaluationPart(recipe=recipe, prefixes=OfSecond([1, 3], 5))
    result = evaluate(part, evaluator(Second(others=others)))
    assert recipe.metric.seen == ["s0", "s1", "s2", "s3", "s4"]
    assert dict(result.values) == {"exact": 0.75, "seen": 5.0}


class OfSecond(Prefixes):
    """The share of the rank that has less than the other."""

    @property
    def largest_share(self) -> int:
        return len(self.indices) + 1


def test_images_do_not_travel_between_ranks() -> None:
    ranks = Second(others=[[False], [], [False], []])
    evaluate(EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(3), 3)), evaluator(ranks))
    heard = [one for values in ranks.heard for one in values if isinstance(one, Answer)]
    assert [one.sample.images for one in heard] == [(), (), ()]


def test_answers_are_given_out_in_order_before_the_rest_is_generated() -> None:
    generated: list[int] = []

    def watched(prefixes: Iterator[Asked]) -> Iterator[tuple[Asked, list[int]]]:
        for one, ids in echo(prefixes):
            generated.append(one.index)
            yield one, ids

    watching = replace(evaluator(), generate_ids=watched)
    answers = answers_in_order(EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(6), 6, skipped=(1,))), watching)
    assert [next(answers).index for _ in range(2)] == [0, 1]
    assert len(generated) < 5
    assert [one.index for one in answers] == [2, 3, 4, 5]


@pytest.mark.parametrize(("indices", "message"), [([0, 1, 1], "twice: .1., missing: .2."), ([0, 2], "missing: .1.")])
def test_a_sample_that_comes_twice_or_not_at_all_is_a_mistake_of_ours(indices: list[int], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        evaluate(EvaluationPart(recipe=Naming(), prefixes=Prefixes(indices, 3)), evaluator())


def test_a_split_without_a_usable_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="no sample of the evaluation split can be used: 3 of 3 skipped"):
        evaluate(EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(3), 3, skipped=range(3))), evaluator())


def test_all_ranks_give_up_when_one_is_told_to_end() -> None:
    part = EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(4), 4))
    with pytest.raises(EvaluationStoppedError):
        evaluate(part, evaluator(should_stop=lambda: True))
    with pytest.raises(EvaluationStoppedError):
        evaluate(part, evaluator(Second(others=[[True]])))


def test_parts_of_a_mixture_are_told_apart_by_name_and_share_the_gallery() -> None:
    parts = [EvaluationPart(name=name, recipe=Naming(), prefixes=Prefixes(range(3), 3)) for name in ("a", "b")]
    result = evaluate_all(parts, evaluator(gallery_size=3))
    assert dict(result.values) == {"a/exact": 2 / 3, "a/seen": 3.0, "b/exact": 2 / 3, "b/seen": 3.0}
    assert [row.sample_id for row in result.rows] == ["a/s0", "a/s1", "a/s2", "b/s0", "b/s1", "b/s2"]
    assert sum(row.thumbnail_jpeg is not None for row in result.rows) == 4
    assert result.num_samples == 6


def test_answers_without_truth_can_be_shown_without_scores() -> None:
    part = EvaluationPart(recipe=Naming(), prefixes=Prefixes(range(2), 2))
    answers, _ = answer(part, evaluator(gallery_size=0))
    assert [row.text for row in rows_of(part, answers, [None, None])] == ["picture 0", "picture 1"]


def test_a_reported_evaluation_is_in_the_runs_folder_and_on_the_terminal(tmp_path: Path) -> None:
    printed: list[str] = []
    reporter = MainReporter(RunFolder(path=tmp_path), NoTracker(), LineProgress(printed.append, seconds=0))
    reporter.start(RunDescription(name="r", num_steps=0, config={}, config_text=""))
    prefixes = Prefixes(range(3), 3, skipped=(1,))
    result = evaluate(EvaluationPart(recipe=Naming(), prefixes=prefixes), evaluator())
    report_evaluation(result, reporter, 100)
    reporter.finish(0, "finished")
    folder = RunFolder(path=tmp_path)
    assert [(line.step, dict(line.values)) for line in folder.read_metrics()] == [
        (100, {"eval/exact": 0.5, "eval/seen": 2.0})
    ]
    assert folder.read_predictions(100) == list(result.rows)
    assert [line["code"] for line in folder.read_skips()] == ["empty"]
    assert printed == ["step 100: exact 0.5  seen 2  (2 samples, 1 skipped)"]


def test_progress_is_shown_with_a_rate(tmp_path: Path) -> None:
    printed: list[str] = []
    reporter = MainReporter(RunFolder(path=tmp_path), NoTracker(), LineProgress(printed.append, seconds=0))
    watched = replace(evaluator(gallery_size=0), progress=reporter.progress)
    answer(EvaluationPart(name="cells", recipe=Naming(), prefixes=Prefixes(range(3), 3)), watched)
    assert [line.split(" | ")[0] for line in printed] == ["cells/evaluation 2/3", "cells/evaluation 3/3"]
    assert all("examples/s" in line and "left" in line for line in printed)
