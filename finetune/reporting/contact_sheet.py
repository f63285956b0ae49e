"""Several images as one picture for people, such as the frames of a video."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from finetune.reporting.drawing import shrink

_GAP_PIXELS = 4
_WHITE = 255


def contact_sheet(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], longest_pixels: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Lay images out in rows, in reading order, each in its own proportions; one image alone is only shrunk.

    Args:
        images: At least one.
        longest_pixels: Longest side of a single image, and about that of a sheet.
    """
    if len(images) == 1:
        return shrink(images[0], longest_pixels)
    num_columns = math.ceil(math.sqrt(len(images)))
    small = [shrink(image, longest_pixels // num_columns) for image in images]
    height, width = (max(image.shape[axis] for image in small) + _GAP_PIXELS for axis in (0, 1))
    num_rows = math.ceil(len(images) / num_columns)
    sheet = np.full((num_rows * height - _GAP_PIXELS, num_columns * width - _GAP_PIXELS, 3), _WHITE, dtype=np.uint8)
    for number, image in enumerate(small):
        top, left = number // num_columns * height, number % num_columns * width
        sheet[top : top + image.shape[0], left : left + image.shape[1]] = image
    return sheet
