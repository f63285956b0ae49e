"""How often a count is right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.evaluate.metrics.counting import CountingScores, counting_match, numeral
from finetune.types import Prediction, Sample


def _scores(*pairs: tuple[str, str]) -> dict[str, float]:
    metric = CountingScores(lambda sample: sample.answers)
    for text, truth in pairs:
        sample = Sample(sample_id="1", origin="", images=(), answers=(truth,))
        assert metric.update(Prediction(sample_id="1", text=text), sample) == counting_match(text, [truth])
    assert set(metric.compute()) <= set(metric.names())
    return metric.compute()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("none", "0"),
        ("Zero", "0"),
        ("TEN", "10"),
        ("twelve", "12"),
        ("twenty", "20"),
        ("twenty one", "twenty one"),
        ("two.", "two."),
        (" two", " two"),
        ("02", "02"),
        ("Many", "Many"),
    ],
)
def test_number_words_are_numerals_where_they_are_the_whole_text(text: str, said: str) -> None:
    assert numeral(text) == said


def test_the_accuracy_is_given_for_all_and_for_each_count_that_occurs() -> None:
    scores = _scores(("two", "2"), ("3", "2"), ("0", "none"), ("15", "15"))
    assert scores == {
        "counting_accuracy": 0.75,
        "counting_accuracy/count_0": 1.0,
        "counting_accuracy/count_2": 0.5,
        "counting_accuracy/count_15": 1.0,
    }


def test_a_truth_above_fifteen_is_in_the_accuracy_alone() -> None:
    assert _scores(("16", "16"), ("many", "1")) == {"counting_accuracy": 0.5, "counting_accuracy/count_1": 0.0}


def test_every_count_is_announced() -> None:
    names = CountingScores(lambda sample: sample.answers).names()
    assert names[:2] == ("counting_accuracy", "counting_accuracy/count_0")
    assert names[-1] == "counting_accuracy/count_15"
    assert len(names) == 17


def test_without_a_truth_there_is_no_score() -> None:
    metric = CountingScores(lambda sample: sample.answers)
    sample = Sample(sample_id="1", origin="", images=())
    assert metric.update(Prediction(sample_id="1", text="2"), sample) is None
    assert metric.compute() == {}


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15)), min_size=1))
def test_the_counts_accuracies_weighted_by_their_number_make_the_accuracy(pairs: list[tuple[int, int]]) -> None:
    scores = _scores(*((str(said), str(truth)) for said, truth in pairs))
    truths = [truth for _, truth in pairs]
    weighted = sum(scores[f"counting_accuracy/count_{count}"] * truths.count(count) for count in set(truths))
    assert weighted / len(pairs) == pytest.approx(scores["counting_accuracy"])
