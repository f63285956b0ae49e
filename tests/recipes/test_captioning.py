"""The captioning recipe."""

from dataclasses import replace

import numpy as np
import pytest

from finetune.types import BadSampleError, Sample
from recipes.captioning import CaptionChoice, Captioning


def _sample(**fields: object) -> Sample:
    return Sample(sample_id="7", origin="train.jsonl:8", images=(), **fields)  # type: ignore[arg-type]


CAPTIONED = _sample(captions=("A Cat.", "Two Dogs."))
RNG = np.random.default_rng(0)


def test_every_caption_is_drawn_now_and_then_and_the_same_seed_draws_the_same() -> None:
    drawn = [Captioning().encode(CAPTIONED, np.random.default_rng(seed)).suffix for seed in range(50)]
    assert set(drawn) == {"A Cat.", "Two Dogs."}
    assert drawn == [Captioning().encode(CAPTIONED, np.random.default_rng(seed)).suffix for seed in range(50)]


def test_the_prefix_follows_the_original_and_the_template() -> None:
    assert Captioning().ask(CAPTIONED).prefix == "caption en"
    assert Captioning(language="de").encode(CAPTIONED, RNG).prefix == "caption de"
    assert Captioning(prefix="describe").ask(CAPTIONED).prefix == "describe"
    assert Captioning().ask(CAPTIONED).suffix == ""


def test_each_caption_has_its_turn_before_any_comes_again() -> None:
    recipe = Captioning(caption=CaptionChoice.cycle)
    heard = [recipe.encode(replace(CAPTIONED, visit=visit), RNG).suffix for visit in range(40)]
    assert all(set(heard[start : start + 2]) == set(CAPTIONED.captions) for start in range(0, 40, 2))
    assert len(set(zip(heard[::2], heard[1::2], strict=True))) == 2, "every round has an order of its own"
    with pytest.raises(ValueError, match="use_all_captions=true and caption=cycle contradict each other"):
        Captioning(use_all_captions=True, caption=CaptionChoice.cycle)


def test_a_sample_may_have_a_language_of_its_own() -> None:
    assert Captioning(language="de").ask(replace(CAPTIONED, language="th")).prefix == "caption th"


def test_scores_are_told_apart_by_language_on_request() -> None:
    names = [name for metric in Captioning(categories=["en", "de"]).metrics().values() for name in metric.names()]
    assert {"CIDEr", "CIDEr/en", "CIDEr/de", "CIDEr/mean", "exact_match/mean"} <= set(names)
    with pytest.raises(ValueError, match="'mean' cannot be the name of one"):
        Captioning(categories=["mean"])


def test_captions_are_lowered_on_request() -> None:
    assert Captioning(lower_case=True).encode(CAPTIONED, RNG).suffix in {"a cat.", "two dogs."}


def test_ready_made_text_overrides_the_recipe_and_is_the_reference() -> None:
    sample = _sample(captions=("A Cat.",), prefix="cap", suffix="A Bird")
    example = Captioning(lower_case=True).encode(sample, RNG)
    assert (example.prefix, example.suffix) == ("cap", "A Bird")
    assert example.notes["ready-made suffixes used as they are"] == 1
    assert Captioning().reference(sample) == "A Bird"
    assert Captioning().reference(CAPTIONED) == "A Cat. / Two Dogs."


def test_a_sample_without_captions_is_refused_with_what_it_offers() -> None:
    with pytest.raises(BadSampleError, match=r"train.jsonl:8: captions: .*text \(recipe=ocr\)") as refusal:
        Captioning().encode(_sample(text="STOP"), RNG)
    assert refusal.value.code == "missing-captions"


def test_an_unknown_placeholder_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown placeholder \{lang\}.*known: \{language\}"):
        Captioning(prefix="caption {lang}")


def test_a_language_that_the_prefix_does_not_say_is_refused() -> None:
    with pytest.raises(ValueError, match=r"language=de has no effect: prefix 'describe' has no \{language\}"):
        Captioning(prefix="describe", language="de")


def test_decoding_keeps_the_text_and_the_metrics_score_it() -> None:
    recipe = Captioning()
    prediction = recipe.decode("a cat", CAPTIONED)
    assert (prediction.sample_id, prediction.text, prediction.objects) == ("7", "a cat", ())
    metric = recipe.metrics()["captioning"]
    metric.update(prediction, CAPTIONED)
    assert metric.compute()["BLEU-1"] == pytest.approx(1.0)
    assert recipe.selection() is None
