"""Which way a score gets better."""

from math import nan

from finetune.evaluate.metrics.direction import is_better


def test_higher_is_better_unless_the_name_says_otherwise() -> None:
    assert is_better("mAP50", 0.2, 0.1)
    assert not is_better("mAP50", 0.1, 0.1)
    assert is_better("CER", 0.1, 0.2)
    assert not is_better("CER", 0.2, 0.1)


def test_a_number_beats_nothing_and_nan_beats_no_one() -> None:
    assert is_better("CIDEr", 0.0, None)
    assert is_better("CIDEr", 0.0, nan)
    assert not is_better("CIDEr", nan, None)
    assert not is_better("WER", nan, 1.0)
