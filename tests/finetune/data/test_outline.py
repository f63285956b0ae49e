"""The outline that is painted on an image."""

import torch

from finetune.data.outline import paint_outline
from finetune.geometry import Box

RED = (255, 0, 0)


def drawn(box: Box, height: int, width: int) -> list[str]:
    painted = paint_outline(torch.zeros((3, height, width), dtype=torch.uint8), box, RED)
    assert not painted[1:].any()
    return ["".join(".#"[int(value > 0)] for value in row) for row in painted[0].tolist()]


def test_edges_are_truncated_to_rows_and_columns_and_both_ends_are_painted() -> None:
    assert drawn(Box(top=0.3, left=0.25, bottom=0.99, right=0.8), 6, 8) == [
        "........",
        ".#####..",
        ".#...#..",
        ".#...#..",
        ".#####..",
        "........",
    ]


def test_a_box_over_the_whole_image_frames_it() -> None:
    assert drawn(Box(top=0, left=0, bottom=1, right=1), 3, 4) == ["####", "#..#", "####"]


def test_a_box_without_area_is_a_point() -> None:
    assert drawn(Box(top=0.5, left=0.5, bottom=0.5, right=0.5), 3, 3) == ["...", ".#.", "..."]


def test_edges_are_multiplied_in_single_precision() -> None:
    # 0.7 * 10 is 7.000000000000001 in double precision, and 0.29 * 100 is 28.999999999999996: in single, 29.
    assert drawn(Box(top=0, left=0.29, bottom=0, right=0.29), 1, 101)[0].index("#") == 29


def test_the_given_pixels_stay_as_they_are() -> None:
    pixels = torch.zeros((3, 4, 4), dtype=torch.uint8)
    paint_outline(pixels, Box(top=0, left=0, bottom=1, right=1), RED)
    assert not pixels.any()
