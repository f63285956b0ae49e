"""Which way a score gets better."""

from math import nan

import pytest

from finetune.evaluate.metrics.direction import NEUTRAL, directional, is_better


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


def test_a_score_of_a_mixtures_part_has_the_direction_of_its_own_name() -> None:
    assert is_better("ocr/CER", 0.1, 0.2)
    assert not is_better("ocr/CER", 0.2, 0.1)
    assert is_better("shapes/mAP50", 0.2, 0.1)


def test_a_score_of_a_category_has_the_direction_of_its_own_name_in_a_mixture_too() -> None:
    assert is_better("CER/en", 0.1, 0.2)
    assert not is_better("ocr/CER/en", 0.2, 0.1)
    assert is_better("parsefail/mean", 0.1, 0.2)
    assert is_better("captions/CIDEr/en", 0.2, 0.1)
    assert is_better("counting_accuracy/count_3", 0.2, 0.1)


@pytest.mark.parametrize("name", [*sorted(NEUTRAL), "shapes/boxes_per_image", "captions/ptb_java/en"])
def test_by_a_score_without_a_direction_nothing_is_better(name: str) -> None:
    assert not is_better(name, 2.0, 1.0)
    assert not is_better(name, 1.0, 2.0)
    assert not is_better(name, 1.0, None)


def test_only_scores_with_a_direction_can_choose_a_checkpoint() -> None:
    scores = {"mAP50": 0.5, "boxes_per_image": 3.0, "words/CER": 0.1, "captions/ptb_java": 1.0}
    assert directional(scores) == {"mAP50": 0.5, "words/CER": 0.1}
