"""Scores of found and read words."""

import pytest

from finetune.evaluate.metrics.spotting import SpottingScores
from finetune.geometry import Box
from finetune.types import Instance, Prediction, Sample


def _word(label: str, left: float, right: float, *, is_crowd: bool = False) -> Instance:
    return Instance(label=label, box=Box(top=0.1, left=left, bottom=0.2, right=right), is_crowd=is_crowd)


ONE, WAY = _word("ONE", 0.1, 0.3), _word("WAY", 0.4, 0.6)


def _scores(
    predicted: tuple[Instance, ...], true: tuple[Instance, ...] | None, num_malformed: int = 0
) -> dict[str, float]:
    metric = SpottingScores(lambda sample: sample.instances)
    sample = Sample(sample_id="7", origin="", images=(), instances=true)
    metric.update(Prediction(sample_id="7", text="", objects=predicted, num_malformed=num_malformed), sample)
    return metric.compute()


def test_a_word_counts_where_its_place_and_its_letters_are_right() -> None:
    assert _scores((ONE, _word("WHY", 0.4, 0.6)), (ONE, WAY)) == {
        "F1": 0.5,
        "precision": 0.5,
        "recall": 0.5,
        "malformed": 0.0,
    }


def test_letters_are_compared_in_their_case() -> None:
    assert _scores((_word("one", 0.1, 0.3),), (ONE,))["F1"] == 0.0


def test_a_box_that_overlaps_less_than_half_is_no_match() -> None:
    assert _scores((_word("ONE", 0.2, 0.4),), (ONE,))["recall"] == 0.0


def test_each_word_is_found_once_by_the_box_that_fits_it_best() -> None:
    scores = _scores((ONE, _word("ONE", 0.1, 0.29)), (ONE,))
    assert (scores["precision"], scores["recall"]) == (0.5, 1.0)


def test_words_found_where_nobody_could_read_do_not_count() -> None:
    unreadable = _word("###", 0.35, 0.65, is_crowd=True)
    assert _scores((ONE, WAY), (ONE, unreadable))["precision"] == 1.0
    assert _scores((ONE,), (unreadable,))["recall"] == 1.0


def test_nothing_to_read_and_nothing_read_is_right() -> None:
    assert _scores((), ())["F1"] == 1.0
    assert _scores((), (ONE,)) == {"F1": 0.0, "precision": 1.0, "recall": 0.0, "malformed": 0.0}


def test_texts_with_a_part_that_is_no_word_are_counted() -> None:
    assert _scores((ONE,), (ONE,), num_malformed=3)["malformed"] == 1.0


def test_counts_are_summed_over_samples() -> None:
    metric = SpottingScores(lambda sample: sample.instances)
    for predicted, true in (((ONE,), (ONE,)), ((), (ONE, WAY))):
        sample = Sample(sample_id="7", origin="", images=(), instances=true)
        metric.update(Prediction(sample_id="7", text="", objects=predicted), sample)
    assert metric.compute()["recall"] == pytest.approx(1 / 3)
    assert tuple(metric.compute()) == metric.names()


def test_a_sample_whose_words_were_not_annotated_is_left_out() -> None:
    assert _scores((ONE,), None) == {}
