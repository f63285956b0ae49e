"""Error rates of music."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.evaluate.metrics.music import KernErrorRates
from finetune.types import Prediction, Sample


def _rates(*pairs: tuple[str, str]) -> dict[str, float]:
    metric = KernErrorRates(lambda sample: () if sample.text is None else (sample.text,))
    for text, truth in pairs:
        metric.update(Prediction(sample_id="7", text=text), Sample(sample_id="7", origin="", images=(), text=truth))
    return metric.compute()


def test_one_wrong_note_is_an_error_of_a_character_a_symbol_and_a_line() -> None:
    # Five notes, a bar line and four separators make ten symbols, in sixteen characters and three lines.
    truth = "4c\t4e 4g\n=\n4d\t4f"
    assert _rates((truth.replace("4f", "4a"), truth)) == pytest.approx({"CER": 1 / 16, "SER": 1 / 10, "LER": 1 / 3})


def test_a_missing_tab_is_a_missing_symbol() -> None:
    assert _rates(("4c4e", "4c\t4e"))["SER"] == pytest.approx(3 / 3)


def test_lengths_and_edits_are_summed_over_samples() -> None:
    assert _rates(("a", "a"), ("b c d", "x c d"))["SER"] == pytest.approx(1 / 4)


def test_a_sample_without_a_reference_is_left_out() -> None:
    metric = KernErrorRates(lambda sample: ())
    assert metric.update(Prediction(sample_id="7", text="a"), Sample(sample_id="7", origin="", images=())) is None
    assert metric.compute() == {}
    assert metric.names() == ("CER", "SER", "LER")


@given(st.text("4c\t\n =", max_size=30))
def test_a_text_has_no_error_against_itself(text: str) -> None:
    assert set(_rates((text, text)).values()) == {0.0}
