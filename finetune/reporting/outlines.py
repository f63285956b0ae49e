"""The outline of a mask as an SVG path: sharp at any size, a few hundred bytes, and drawn by any browser.

Pixel edges between inside and outside are walked with the inside on the right, and joined at their middles, which turns
the staircase of a slanted edge into a slanted line.
"""

from collections import defaultdict
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from finetune.masks import Mask

Point = tuple[int, int]

# Masks are shown small: finer than this, nobody sees a difference.
_LONGEST_SIDE = 192


def outline_path(mask: Mask) -> str:
    """Return what `<path d=…>` says, in fractions of 1000 of the image's width and height; "" for an empty mask.

    Holes are paths of their own: fill with the rule `evenodd`.
    """
    inside = _shrunk(mask.to_array())
    height, width = inside.shape
    loops = [_straightened(loop) for loop in _loops(inside)]
    # Middles of pixel edges lie on halves.
    across, down = 500 / width, 500 / height
    return "".join(_as_path([(round(x * across), round(y * down)) for x, y in loop]) for loop in loops)


def _shrunk(pixels: UInt8[np.ndarray, "h w"]) -> Bool[np.ndarray, "height width"]:
    """Return the mask with its longer side at most so many pixels; what is thinner than one does not vanish."""
    height, width = pixels.shape
    scale = min(1.0, _LONGEST_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    covered = np.asarray(Image.fromarray(pixels * np.uint8(255)).resize(size, Image.Resampling.BOX))
    is_inside: Bool[np.ndarray, "height width"] = covered >= 128
    return is_inside if is_inside.any() else covered > 0


def _loops(inside: Bool[np.ndarray, "h w"]) -> list[list[Point]]:
    """Return the closed outlines as middles of pixel edges, in half pixels."""
    following = _edges(inside)
    loops = []
    while following:
        start = next(iter(following))
        corner, end = start, following[start].pop()
        loop = []
        while True:
            loop.append((corner[0] + end[0], corner[1] + end[1]))
            if not following[corner]:
                del following[corner]
            if end == start:
                break
            corner, end = end, _turn(corner, end, following[end])
        loops.append(loop)
    return loops


def _edges(inside: Bool[np.ndarray, "h w"]) -> dict[Point, list[Point]]:
    """Return for every corner on the outline where its edges lead, with the inside on the right."""
    padded = np.pad(inside, 1).astype(np.int8)
    following: dict[Point, list[Point]] = defaultdict(list)
    down, right = np.diff(padded, axis=0), np.diff(padded, axis=1)
    for y, x in np.argwhere(down == 1).tolist():
        following[x - 1, y].append((x, y))
    for y, x in np.argwhere(down == -1).tolist():
        following[x, y].append((x - 1, y))
    for y, x in np.argwhere(right == 1).tolist():
        following[x, y].append((x, y - 1))
    for y, x in np.argwhere(right == -1).tolist():
        following[x, y - 1].append((x, y))
    return following


def _turn(before: Point, corner: Point, ends: list[Point]) -> Point:
    """Choose where to go on; where two pixels touch at a corner, turn right, so that they stay two outlines."""
    if len(ends) == 1:
        return ends.pop()
    step_x, step_y = corner[0] - before[0], corner[1] - before[1]
    right = (corner[0] - step_y, corner[1] + step_x)
    ends.remove(right)
    return right


def _straightened(loop: list[Point]) -> list[Point]:
    """Leave out points on the straight line between their neighbours."""
    kept = []
    for index, (x, y) in enumerate(loop):
        (x0, y0), (x1, y1) = loop[index - 1], loop[(index + 1) % len(loop)]
        if (x - x0) * (y1 - y) != (y - y0) * (x1 - x):
            kept.append((x, y))
    return kept


def _as_path(points: list[Point]) -> str:
    """Write a closed path in relative coordinates, which are short."""
    steps = [f"{x1 - x0} {y1 - y0}" for (x0, y0), (x1, y1) in pairwise(points)]
    x, y = points[0]
    return f"M{x} {y}l{' '.join(steps)}z"
