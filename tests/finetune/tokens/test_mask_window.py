"""Which pixels a mask is cut from and pasted into."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.tokens.mask_window import crop_window, has_pixels, paste, paste_window


def _box(top: float, left: float, bottom: float, right: float) -> Box:
    return Box(top=top, left=left, bottom=bottom, right=right)


def test_encoding_rounds_edges_and_decoding_truncates_them() -> None:
    box = _box(0.29, 0.21, 0.79, 0.86)
    assert crop_window(box, (10, 10)) == (slice(3, 8), slice(2, 9))
    assert paste_window(box, (10, 10)) == (slice(2, 7), slice(2, 8))


def test_encoding_rounds_halves_to_even() -> None:
    assert crop_window(_box(0.05, 0.15, 0.25, 0.35), (10, 10)) == (slice(0, 2), slice(2, 4))


def test_a_half_is_one_in_single_precision() -> None:
    # In double precision the product is a little below 1.5, and would round to 1.
    edge = 0.15 - 1e-12
    assert crop_window(_box(0, 0, edge, 1), (10, 10))[0] == slice(0, 2)


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_the_whole_image_is_the_whole_window(height: int, width: int) -> None:
    whole = (slice(0, height), slice(0, width))
    assert crop_window(_box(0, 0, 1, 1), (height, width)) == whole
    assert paste_window(_box(0, 0, 1, 1), (height, width)) == whole


@given(st.integers(0, 300), st.integers(0, 300))
def test_boxes_of_whole_pixels_are_cut_exactly(first: int, second: int) -> None:
    start, stop = sorted((first, second))
    rows, columns = crop_window(_box(start / 300, start / 300, stop / 300, stop / 300), (300, 300))
    assert rows == columns == slice(start, stop)


def test_a_box_within_one_pixel_has_none() -> None:
    assert not has_pixels(crop_window(_box(0.11, 0, 0.14, 1), (10, 10)))
    assert has_pixels(crop_window(_box(0.11, 0, 0.21, 1), (10, 10)))


def test_pasting_keeps_what_is_above_zero_and_fills_nothing_outside_of_the_box() -> None:
    decoded = np.full((64, 64), -1, dtype=np.float32)
    decoded[:32] = 1
    pixels = paste(decoded, _box(0.2, 0.1, 0.8, 0.5), (100, 50)).to_array()
    assert pixels.shape == (100, 50)
    assert pixels[20:49, 5:25].all()
    assert pixels.sum() == pytest.approx(30 * 20, abs=20)
    assert not paste(np.zeros((64, 64), dtype=np.float32), _box(0, 0, 1, 1), (8, 8)).to_array().any()


def test_pasting_into_no_pixel_gives_an_empty_mask() -> None:
    mask = paste(np.ones((64, 64), dtype=np.float32), _box(0.11, 0, 0.14, 1), (10, 10))
    assert (mask.height, mask.width, mask.area_pixels) == (10, 10, 0)
