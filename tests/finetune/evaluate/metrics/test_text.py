"""Character and word error rates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.evaluate.metrics.text import ErrorRates
from finetune.types import Prediction, Sample


def _rates(*pairs: tuple[str, str]) -> dict[str, float]:
    metric = ErrorRates(lambda sample: () if sample.text is None else (sample.text,))
    for text, truth in pairs:
        metric.update(Prediction(sample_id="1", text=text), Sample(sample_id="1", origin="test", images=(), text=truth))
    return metric.compute()


def test_rates_are_edits_over_the_length_of_all_references() -> None:
    assert _rates(("abcd", "abce"), ("x", "a b c d e f")) == pytest.approx({"CER": 12 / 15, "WER": 7 / 7})


def test_a_perfect_text_has_no_errors() -> None:
    assert _rates(("ONE WAY", "ONE WAY")) == {"CER": 0.0, "WER": 0.0}


def test_text_over_an_empty_reference_is_an_error() -> None:
    assert _rates(("ab", "")) == {"CER": 2.0, "WER": 1.0}
    assert _rates(("", "")) == {"CER": 0.0, "WER": 0.0}


def test_spaces_count_for_characters_but_not_for_words() -> None:
    assert _rates((" a  b", "a b")) == pytest.approx({"CER": 2 / 3, "WER": 0.0})


def test_the_sample_score_is_its_character_error_rate_and_the_nearest_reference_counts() -> None:
    metric = ErrorRates(lambda sample: sample.answers)
    sample = Sample(sample_id="1", origin="test", images=(), answers=("zzzz", "abcd"))
    assert metric.update(Prediction(sample_id="1", text="abc"), sample) == 0.25
    assert metric.update(Prediction(sample_id="1", text="abc"), Sample(sample_id="2", origin="", images=())) is None


@given(st.text(), st.text(min_size=1))
def test_rates_are_never_negative(text: str, truth: str) -> None:
    assert all(rate >= 0 for rate in _rates((text, truth)).values())
