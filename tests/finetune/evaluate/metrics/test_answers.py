"""Scores of short answers, against the original's own values."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.evaluate.metrics.answers import (
    ANSWER_SCORES,
    agreement,
    anls,
    answer_metrics,
    check_answer_scores,
    exact_match,
    relaxed_match,
)
from finetune.types import Prediction, Sample


@pytest.fixture
def expected(oracles: Path) -> Any:
    return json.loads((oracles / "metrics.expected.json").read_text(encoding="utf-8"))


def test_every_anls_of_the_original_is_met(expected: Any) -> None:
    assert len(expected["anls"]) == 16
    for row in expected["anls"]:
        assert anls(row["prediction"], [row["target"]]) == pytest.approx(row["anls"], abs=1e-6), row


def test_every_relaxed_match_of_the_original_is_met(expected: Any) -> None:
    assert len(expected["chartqa_relaxed"]) == 25
    for row in expected["chartqa_relaxed"]:
        assert relaxed_match(row["prediction"], [row["target"]]) == float(row["match"]), row


def test_every_simple_answer_score_of_the_original_is_met(expected: Any) -> None:
    assert len(expected["vqa_simple"]) == 5
    for row in expected["vqa_simple"]:
        text, answers = row["prediction"], row["answers"]
        scores = agreement(text, answers), exact_match(text, answers), anls(text, answers)
        assert scores == pytest.approx((row["acc"], row["acc_any"], row["anls"]), abs=1e-6), row


def test_a_single_reference_makes_agreement_the_exact_match() -> None:
    assert agreement("cat", ["cat"]) == 1.0
    assert agreement("dog", ["cat"]) == 0.0


def test_anls_takes_the_best_reference() -> None:
    assert anls("12.5", ["13", "12,5"]) == pytest.approx(0.75)


def test_unknown_scores_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"vqa_accuracy.*got CIDEr"):
        check_answer_scores(["ANLS", "CIDEr"])
    with pytest.raises(ValueError, match="got none"):
        check_answer_scores([])


def test_metrics_keep_the_order_of_their_names() -> None:
    names = list(reversed(ANSWER_SCORES))
    assert list(answer_metrics(names, lambda sample: sample.answers)) == names


def test_every_score_begins_with_the_value_that_it_is_called_by_and_may_be_told_apart_by_category() -> None:
    for categories in ([], ["human"]):
        for name, metric in answer_metrics(ANSWER_SCORES, lambda row: row.answers, categories=categories).items():
            assert metric.names()[0] == name
            assert (f"{name}/human" in metric.names()) == bool(categories)


def test_case_is_ignored_in_every_score_on_request() -> None:
    sample = Sample(sample_id="1", origin="", images=(), answers=("Yes",))
    prediction = Prediction(sample_id="1", text="yEs")
    for metric in answer_metrics(ANSWER_SCORES, lambda row: row.answers, lower_case=True).values():
        assert metric.update(prediction, sample) == 1.0
