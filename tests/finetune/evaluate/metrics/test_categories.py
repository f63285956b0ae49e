"""Scores told apart by category."""

from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.evaluate.metrics.answers import answer_metrics
from finetune.evaluate.metrics.captioning import CaptionScores
from finetune.evaluate.metrics.categories import ByCategory, check_categories, told_apart
from finetune.evaluate.metrics.direction import is_better
from finetune.evaluate.metrics.mean import MeanScore
from finetune.evaluate.metrics.text import ErrorRates
from finetune.types import Metric, Prediction, Sample


def _sample(answer: str, category: str | None) -> Sample:
    return Sample(sample_id="1", origin="", images=(), answers=(answer,), category=category)


def _score(metric: Metric, *rows: tuple[str, str, str | None]) -> dict[str, float]:
    for text, answer, category in rows:
        metric.update(Prediction(sample_id="1", text=text), _sample(answer, category))
    return metric.compute()


def _relaxed(categories: Sequence[str]) -> Metric:
    return answer_metrics(["relaxed_accuracy"], lambda sample: sample.answers, categories=categories)[
        "relaxed_accuracy"
    ]


def test_the_mean_gives_each_category_the_same_weight_however_many_samples_it_has() -> None:
    rows = [("10", "10", "human"), ("x", "10", "augmented"), ("x", "10", "augmented"), ("x", "10", "augmented")]
    assert _score(_relaxed(["human", "augmented"]), *rows) == {
        "relaxed_accuracy": 0.25,
        "relaxed_accuracy/human": 1.0,
        "relaxed_accuracy/augmented": 0.0,
        "relaxed_accuracy/mean": 0.5,
    }


def test_only_categories_that_are_present_are_in_the_mean() -> None:
    scores = _score(_relaxed(["human", "augmented"]), ("10", "10", "human"))
    assert scores == {"relaxed_accuracy": 1.0, "relaxed_accuracy/human": 1.0, "relaxed_accuracy/mean": 1.0}


def test_a_category_that_is_not_listed_is_told_apart_but_not_in_the_mean() -> None:
    scores = _score(_relaxed(["en", "de"]), ("1", "1", "en"), ("x", "1", "de"), ("1", "1", "quz"), ("1", "1", "bar"))
    assert scores == {
        "relaxed_accuracy": 0.75,
        "relaxed_accuracy/en": 1.0,
        "relaxed_accuracy/de": 0.0,
        "relaxed_accuracy/bar": 1.0,
        "relaxed_accuracy/quz": 1.0,
        "relaxed_accuracy/mean": 0.5,
    }
    assert list(scores)[1:] == [f"relaxed_accuracy/{name}" for name in ("en", "de", "bar", "quz", "mean")]


def test_a_sample_without_a_category_is_in_the_whole_alone() -> None:
    assert _score(_relaxed(["human"]), ("10", "10", None)) == {"relaxed_accuracy": 1.0}


def test_without_categories_a_metric_is_itself() -> None:
    assert isinstance(told_apart(partial(ErrorRates, lambda sample: sample.answers), []), ErrorRates)
    assert isinstance(_relaxed([]), MeanScore)
    assert _score(_relaxed([]), ("10", "10", "human")) == {"relaxed_accuracy": 1.0}


def test_names_list_every_value_of_the_listed_categories() -> None:
    metric = told_apart(partial(ErrorRates, lambda sample: sample.answers), ["en", "de"])
    assert metric.names() == ("CER", "WER", "CER/en", "CER/de", "CER/mean", "WER/en", "WER/de", "WER/mean")
    assert set(_score(metric, ("a", "b", "en"), ("a", "b", "de"))) == set(metric.names())


def test_an_error_rate_of_a_category_or_of_a_mean_stays_an_error_rate() -> None:
    for name in ("CER/en", "CER/mean", "words/CER/en"):
        assert is_better(name, 0.1, 0.2)
        assert not is_better(name, 0.2, 0.1)


def test_what_says_how_was_measured_is_not_told_apart_nor_a_part_of_a_score() -> None:
    captions = ByCategory(partial(CaptionScores, lambda sample: sample.captions, use_java=False), ["en"])
    assert "CIDEr/en" in captions.names()
    assert "ptb_java" in captions.names()
    assert "ptb_java/en" not in captions.names()
    counts = answer_metrics(["counting_accuracy"], lambda sample: sample.answers, categories=["simple", "complex"])
    metric = counts["counting_accuracy"]
    scores = _score(metric, ("two", "2", "simple"), ("3", "2", "complex"), ("2", "2", "complex"))
    assert scores == {
        "counting_accuracy": pytest.approx(2 / 3),
        "counting_accuracy/count_2": pytest.approx(2 / 3),
        "counting_accuracy/simple": 1.0,
        "counting_accuracy/complex": 0.5,
        "counting_accuracy/mean": 0.75,
    }
    assert set(scores) <= set(metric.names())


def test_the_captions_of_a_language_are_scored_as_if_there_were_no_other() -> None:
    rows = {
        "en": [("a red bus", "a red bus"), ("a cat", "two cats"), ("a dog", "the dog")],
        "de": [("ein roter Bus", "ein Bus"), ("eine Katze", "eine Katze"), ("Hund", "ein Hund")],
    }

    def fed(metric: Metric, *languages: str) -> dict[str, float]:
        for language in languages:
            for number, (text, truth) in enumerate(rows[language]):
                name = f"{language}-{number}"
                sample = Sample(sample_id=name, origin="", images=(), captions=(truth,), category=language)
                assert metric.update(Prediction(sample_id=name, text=text), sample) is None
        return metric.compute()

    fresh = partial(CaptionScores, lambda sample: sample.captions, use_java=False)
    together = fed(ByCategory(fresh, ["en", "de"]), "en", "de")
    alone = {language: fed(fresh(), language) for language in rows}
    for name in ("CIDEr", "BLEU-4", "ROUGE-L"):
        assert together[f"{name}/en"] == alone["en"][name]
        assert together[f"{name}/de"] == alone["de"][name]
        assert together[f"{name}/mean"] == pytest.approx((alone["en"][name] + alone["de"][name]) / 2)
        assert together[name] == fed(fresh(), "en", "de")[name]


def test_a_samples_own_score_is_that_of_the_whole() -> None:
    metric = _relaxed(["human"])
    assert metric.update(Prediction(sample_id="1", text="10"), _sample("10", "human")) == 1.0


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b", "c"])), min_size=1))
def test_the_whole_is_the_categories_weighted_by_their_samples(rows: list[tuple[bool, str]]) -> None:
    scores = _score(_relaxed(["a", "b"]), *(("1" if right else "x", "1", category) for right, category in rows))
    parts = [category for _, category in rows]
    weighted = sum(scores[f"relaxed_accuracy/{part}"] * parts.count(part) for part in set(parts))
    assert weighted / len(rows) == pytest.approx(scores["relaxed_accuracy"])


def test_names_that_mean_something_else_and_repeated_ones_are_refused() -> None:
    check_categories(["human", "augmented"])
    check_categories([])
    with pytest.raises(ValueError, match=r"categories: 'CER', 'mean' cannot be the name of one; rename it in the data"):
        check_categories(["mean", "en", "CER"])
    with pytest.raises(ValueError, match="categories must differ, got en, de, en"):
        check_categories(["en", "de", "en"])
