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
