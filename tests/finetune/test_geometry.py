"""Boxes: the edges that are accepted, and the two ways to give them in pixels."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.geometry import Box, intersection_over_union

fractions = st.floats(0, 1)


@pytest.mark.parametrize(
    "edges", [(0.5, 0, 0.4, 1), (0, 0.5, 1, 0.4), (-0.1, 0, 1, 1), (0, 0, 1.1, 1), (math.nan, 0, 1, 1)]
)
def test_edges_that_are_swapped_outside_or_not_a_number_are_refused(edges: tuple[float, ...]) -> None:
    top, left, bottom, right = edges
    with pytest.raises(ValueError, match="box edges must be ordered"):
        Box(top=top, left=left, bottom=bottom, right=right)


@given(fractions, fractions, fractions, fractions)
def test_pixels_and_back_give_the_same_box(a: float, b: float, c: float, d: float) -> None:
    box = Box(top=min(a, b), left=min(c, d), bottom=max(a, b), right=max(c, d))
    again = Box.from_xyxy_pixels(*box.to_xyxy_pixels((480, 640)), image_size=(480, 640))
    for edge in ("top", "left", "bottom", "right"):
        assert math.isclose(getattr(again, edge), getattr(box, edge), abs_tol=1e-12)


def test_a_coco_box_is_corner_and_size_and_is_clipped_to_the_image() -> None:
    box = Box.from_xywh_pixels(60, 20, 80, 40, image_size=(100, 100))
    assert box == Box(top=0.2, left=0.6, bottom=0.6, right=1.0)


@pytest.mark.parametrize("corners", [(10, 10, 5, 20), (110, 0, 120, 10), (-9, -9, -1, -1), (math.nan, 0, 5, 5)])
def test_swapped_corners_and_boxes_outside_the_image_are_refused(corners: tuple[float, ...]) -> None:
    left, top, right, bottom = corners
    with pytest.raises(ValueError, match="box"):
        Box.from_xyxy_pixels(left, top, right, bottom, image_size=(100, 100))


def test_intersection_over_union_of_halves_and_of_nothing() -> None:
    whole = Box(top=0, left=0, bottom=1, right=1)
    half = Box(top=0, left=0, bottom=1, right=0.5)
    point = Box(top=0.5, left=0.5, bottom=0.5, right=0.5)
    assert intersection_over_union(whole, half) == 0.5
    assert intersection_over_union(point, point) == 0.0
