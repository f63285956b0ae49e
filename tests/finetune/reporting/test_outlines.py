"""Outlines of masks as SVG paths."""

import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finetune.masks import Mask
from finetune.reporting.outlines import outline_path


def _path(rows: list[str]) -> str:
    return outline_path(Mask.from_array(np.array([[int(cell) for cell in row] for row in rows], dtype=np.uint8)))


def _polygons(path: str) -> list[list[tuple[float, float]]]:
    polygons = []
    for loop in path.split("z")[:-1]:
        start, _, steps = loop.removeprefix("M").partition("l")
        x, y = (float(number) for number in start.split())
        points = [(x, y)]
        numbers = [float(number) for number in steps.split()]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            points.append((x, y))
        polygons.append(points)
    return polygons


def _is_inside(polygons: list[list[tuple[float, float]]], x: float, y: float) -> bool:
    """Count crossings to the left of a point, as the rule `evenodd` does."""
    crossings = 0
    for points in polygons:
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            if (y0 > y) != (y1 > y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x:
                crossings += 1
    return crossings % 2 == 1


def test_an_empty_mask_has_no_outline() -> None:
    assert _path(["00", "00"]) == ""


def test_a_pixel_is_a_diamond_around_its_middle() -> None:
    assert _path(["0000", "0100", "0000", "0000"]) == "M375 250l125 125 -125 125 -125 -125z"


def test_touching_corners_stay_two_and_a_hole_is_one_more() -> None:
    assert len(_polygons(_path(["10", "01"]))) == 2
    assert len(_polygons(_path(["111", "101", "111"]))) == 2


def test_a_large_disc_is_short_and_is_drawn_where_it_is() -> None:
    rows, columns = np.mgrid[:600, :800]
    path = outline_path(Mask.from_array(((columns - 400) ** 2 + (rows - 300) ** 2 < 200**2).astype(np.uint8)))
    assert len(path) < 1000
    polygons = _polygons(path)
    assert _is_inside(polygons, 501, 501)
    assert not _is_inside(polygons, 100, 501)
    assert _is_inside(polygons, 740, 501)


def test_what_is_thinner_than_a_shown_pixel_does_not_vanish() -> None:
    pixels = np.zeros((4000, 4000), dtype=np.uint8)
    pixels[2000, :] = 1
    assert outline_path(Mask.from_array(pixels))


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)))
def test_the_middle_of_every_pixel_is_on_the_right_side(pixels: np.ndarray) -> None:
    path = outline_path(Mask.from_array(pixels))
    assert re.fullmatch(r"(M\d+ \d+l-?\d+ -?\d+( -?\d+ -?\d+)*z)*", path)
    polygons = _polygons(path)
    height, width = pixels.shape
    for (row, column), is_set in np.ndenumerate(pixels):
        x, y = 1000 * (column + 0.5) / width, 1000 * (row + 0.5) / height
        assert _is_inside(polygons, x + 0.01, y + 0.02) == bool(is_set)
