"""One expression's score, worked out by hand; the tests of `finetune.verification` compare with the original's."""

import numpy as np
import pytest
from jaxtyping import Float32, Int

from finetune.evaluate.metrics.referring import ExpressionScore, score_mask, score_text
from finetune.geometry import Box
from finetune.masks import Mask

WHOLE = "<loc0000><loc0000><loc1023><loc1023>"
LEFT_HALF = "<loc0000><loc0000><loc1023><loc0512>"
CODES = "<seg001>" * 16


def _all_inside(codes: Int[np.ndarray, "n 16"]) -> Float32[np.ndarray, "n 64 64"]:
    return np.ones((len(codes), 64, 64), dtype=np.float32)


def _mask(*columns: int) -> Mask:
    """8 x 8 pixels with these columns inside."""
    pixels = np.zeros((8, 8), dtype=np.uint8)
    pixels[:, list(columns)] = 1
    return Mask.from_array(pixels)


def _box(left: float, right: float) -> Box:
    return Box(top=0, left=left, bottom=1, right=right)


def _score(text: str) -> ExpressionScore:
    return score_text(text, _mask(0, 1), _box(0, 0.25), _all_inside)


def test_pixels_and_boxes_are_compared_each_with_their_own() -> None:
    score = _score(LEFT_HALF + CODES)
    assert score.is_valid
    assert (score.shared_pixels, score.union_pixels) == (16, 32)
    assert score.mask_iou == 0.5
    assert score.box_iou == pytest.approx(0.25 / (512 / 1023))


def test_what_follows_the_twentieth_token_is_ignored() -> None:
    assert _score(LEFT_HALF + CODES + "<seg001> left dog") == _score(LEFT_HALF + CODES)


@pytest.mark.parametrize(
    "text",
    ["", CODES, LEFT_HALF, "dog " + LEFT_HALF + CODES, LEFT_HALF + "<seg001>" * 15, LEFT_HALF + "<seg128>" * 16],
)
def test_without_twenty_tokens_at_the_beginning_nothing_is_shared(text: str) -> None:
    score = _score(text)
    assert (score.is_valid, score.box_iou, score.mask_iou) == (False, 0.0, 0.0)
    assert score.union_pixels == 16


def test_an_inverted_box_is_invalid() -> None:
    assert not _score("<loc0000><loc0512><loc1023><loc0512>" + CODES).is_valid


def test_a_box_that_truncates_to_no_pixel_is_invalid_and_still_a_box() -> None:
    score = score_text("<loc0000><loc0000><loc1023><loc0120>" + CODES, _mask(0), _box(0, 0.125), _all_inside)
    assert (score.is_valid, score.mask_iou) == (False, 0.0)
    assert score.box_iou > 0.9


def test_two_empty_masks_score_nothing() -> None:
    score = score_mask(_mask(), _box(0, 1), _mask(), _box(0, 1))
    assert (score.is_valid, score.mask_iou, score.union_pixels) == (True, 0.0, 0)
