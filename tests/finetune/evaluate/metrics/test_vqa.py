"""The official VQAv2 accuracy, against the original's own values."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.evaluate.metrics.vqa import normalize_answer, vqa_accuracy


def test_every_accuracy_of_the_original_is_met(oracles: Path) -> None:
    rows = json.loads((oracles / "metrics.expected.json").read_text(encoding="utf-8"))["vqav2"]
    assert len(rows) == 36
    for row in rows:
        assert vqa_accuracy(row["prediction"], row["answers"]) == pytest.approx(row["accuracy"], abs=1e-6), row


_ANSWERS = st.sampled_from(["2", "two", "The dog!", "dog", "dont", "U.S.", "1,000", ""])


@given(_ANSWERS, st.lists(_ANSWERS, max_size=12))
def test_accuracy_is_the_mean_over_leaving_one_annotator_out(text: str, answers: list[str]) -> None:
    # Annotators differ, so that both sides are normalised.
    answers = [*answers, "x", "x", "x", "y"]
    matches = [normalize_answer(answer) == normalize_answer(text) for answer in answers]
    left_out = [min(1.0, (sum(matches) - match) / 3) for match in matches]
    assert vqa_accuracy(text, answers) == pytest.approx(sum(left_out) / len(left_out))


def test_identical_answers_are_not_normalised() -> None:
    assert vqa_accuracy("Yes", ["yes"] * 10) == 0.0


def test_few_answers_are_alternatives() -> None:
    assert vqa_accuracy("cat", ["cat"]) == 1.0
    assert vqa_accuracy("the cat.", ["cat", "dog"]) == 1.0
    assert vqa_accuracy("bird", ["cat", "dog", "cow"]) == 0.0


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Dog!", "dog"),
        ("dont", "don't"),
        ("someoned've", "someone'd've"),
        ("somebody'd", "somebodyd"),
        ("none", "0"),
        ("ten", "10"),
        ("a/b", "b"),
        ("3.5", "3.5"),
        ("U.S.", "us"),
    ],
)
def test_normalisation_keeps_the_official_quirks(text: str, normal: str) -> None:
    assert normalize_answer(text) == normal
