"""Masks: arrays, polygons and run lengths give the same pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finetune.masks import Mask, mask_overlaps


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.integers(0, 1)))
def test_compressing_and_drawing_give_the_same_pixels(pixels: np.ndarray) -> None:
    mask = Mask.from_array(pixels)
    assert np.array_equal(mask.to_array(), pixels)
    assert mask.area_pixels == pixels.sum()


def test_a_polygon_of_a_rectangle_fills_it() -> None:
    mask = Mask.from_polygons([[2, 1, 6, 1, 6, 5, 2, 5]], image_size=(8, 10))
    expected = np.zeros((8, 10), np.uint8)
    expected[1:5, 2:6] = 1
    assert np.array_equal(mask.to_array(), expected)


def test_run_lengths_go_down_the_columns_and_start_with_background() -> None:
    mask = Mask.from_run_lengths([1, 2, 1], image_size=(2, 2))
    assert mask.to_array().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("counts", [[4, 1], [3], [-1, 5]])
def test_run_lengths_that_do_not_fit_the_image_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="add up to 2 x 2"):
        Mask.from_run_lengths(counts, image_size=(2, 2))


@pytest.mark.parametrize("polygons", [[], [[0, 0, 1, 1]], [[0, 0, 1, 1, 2]], [[0, 0, 1, 1, float("nan"), 2]]])
def test_polygons_that_are_no_polygons_are_refused(polygons: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="polygon"):
        Mask.from_polygons(polygons, image_size=(4, 4))


def test_overlaps_are_shares_of_joined_pixels_and_nothing_overlaps_nothing() -> None:
    pixels = np.zeros((2, 10), dtype=np.uint8)
    empty = Mask.from_array(pixels)
    pixels[0, :8] = 1
    wide = Mask.from_array(pixels)
    pixels[0, 4:] = 0
    narrow = Mask.from_array(pixels)
    assert mask_overlaps([wide, empty], [narrow, wide, empty]).tolist() == [[0.5, 1.0, 0.0], [0.0, 0.0, 0.0]]
    assert mask_overlaps([], [wide]).shape == (0, 1)
