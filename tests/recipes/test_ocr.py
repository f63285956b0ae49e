"""The text-reading recipe."""

import numpy as np
import pytest

from finetune.types import BadSampleError, Sample
from recipes.ocr import Ocr

RNG = np.random.default_rng(0)
SIGN = Sample(sample_id="7", origin="signs:8", images=(), text="ONE WAY")


def test_the_text_is_said_after_the_original_prefix() -> None:
    example = Ocr().encode(SIGN, RNG)
    assert (example.prefix, example.suffix) == ("ocr", "ONE WAY")
    assert Ocr(prefix="read {{all}}").ask(SIGN).prefix == "read {all}"
    assert Ocr().reference(SIGN) == "ONE WAY"


def test_an_image_without_any_text_has_an_empty_one_and_is_not_refused() -> None:
    assert Ocr().encode(Sample(sample_id="7", origin="", images=(), text=""), RNG).suffix == ""


def test_a_sample_that_was_never_read_is_refused_by_name() -> None:
    with pytest.raises(BadSampleError, match=r"captions \(recipe=captioning\).*missing-text"):
        Ocr().encode(Sample(sample_id="7", origin="signs:8", images=(), captions=("a",)), RNG)
    assert Ocr().reference(Sample(sample_id="7", origin="", images=())) == ""


def test_placeholders_are_refused() -> None:
    with pytest.raises(ValueError, match="known: none"):
        Ocr(prefix="ocr {language}")


def test_ready_made_text_overrides_the_recipe() -> None:
    sample = Sample(sample_id="7", origin="", images=(), text="A", prefix="read", suffix="B")
    example = Ocr().encode(sample, RNG)
    assert (example.prefix, example.suffix, Ocr().reference(sample)) == ("read", "B", "B")


def test_the_scores_are_anls_exact_match_and_error_rates() -> None:
    recipe = Ocr()
    metrics = recipe.metrics()
    scores = {name: metric.update(recipe.decode("ONE WAX", SIGN), SIGN) for name, metric in metrics.items()}
    assert scores["exact_match"] == 0.0
    assert scores["ANLS"] == pytest.approx(6 / 7)
    values = {key: value for metric in metrics.values() for key, value in metric.compute().items()}
    assert values == pytest.approx({"ANLS": 6 / 7, "exact_match": 0.0, "CER": 1 / 7, "WER": 1 / 2})


def test_music_is_scored_by_character_symbol_and_line() -> None:
    recipe = Ocr(prefix="kern", scores=["kern_error_rates", "exact_match"])
    score = Sample(sample_id="7", origin="", images=(), text="4c\t4e\n4d\t4f")
    metrics = recipe.metrics()
    assert list(metrics) == ["kern_error_rates", "exact_match"]
    assert metrics["kern_error_rates"].update(recipe.decode("4c\t4e\n4d\t4g", score), score) == pytest.approx(1 / 7)


@pytest.mark.parametrize("scores", [[], ["BLEU"]])
def test_scores_that_are_not_known_are_refused(scores: list[str]) -> None:
    with pytest.raises(ValueError, match=r"scores must name some of .*error_rates, kern_error_rates"):
        Ocr(scores=scores)
