"""From a box to the pixels that its mask is cut from, and pasted into: two rules, because the original has two."""

import numpy as np
from jaxtyping import Float32
from PIL import Image

from finetune.geometry import Box
from finetune.masks import Mask

Window = tuple[slice, slice]


def crop_window(box: Box, image_size: tuple[int, int]) -> Window:
    """Return the rows and columns that encoding cuts out: edges rounded, halves to even. May be empty.

    `image_size` is (height, width). The product is single precision, which decides where a half begins.

    Source:
        big_vision pp/proj/paligemma/segmentation.py (0127fb6): tf.round(h * bbox[0]) in float32.
    """
    height, width = (np.float32(side) for side in image_size)
    return (
        slice(_rounded(height, box.top), _rounded(height, box.bottom)),
        slice(_rounded(width, box.left), _rounded(width, box.right)),
    )


def paste_window(box: Box, image_size: tuple[int, int]) -> Window:
    """Return the rows and columns that decoding fills: edges truncated, unlike those of `crop_window`. May be empty.

    `image_size` is (height, width).

    Source:
        big_vision evaluators/proj/paligemma/transfers/segmentation.py (0127fb6): map(int, (y1 * h, …)).
    """
    height, width = image_size
    return (
        slice(int(box.top * height), int(box.bottom * height)),
        slice(int(box.left * width), int(box.right * width)),
    )


def has_pixels(window: Window) -> bool:
    """Whether the window is more than a line."""
    return all(edges.start < edges.stop for edges in window)


def paste(decoded: Float32[np.ndarray, "64 64"], box: Box, image_size: tuple[int, int]) -> Mask:
    """Stretch what the decoder drew over its box, and keep what is above 0; no pixel where the box has none.

    `image_size` is (height, width).

    Source:
        big_vision evaluators/proj/paligemma/transfers/segmentation.py (0127fb6).
    """
    pixels = np.zeros(image_size, dtype=np.uint8)
    window = paste_window(box, image_size)
    if has_pixels(window):
        rows, columns = window
        size = (columns.stop - columns.start, rows.stop - rows.start)
        pixels[window] = np.asarray(Image.fromarray(decoded).resize(size, Image.Resampling.BILINEAR)) > 0
    return Mask.from_array(pixels)


def _rounded(side: np.float32, edge: float) -> int:
    return int(np.rint(side * np.float32(edge)))
