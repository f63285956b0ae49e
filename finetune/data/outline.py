"""A box painted on an image: the one-pixel outline that tells the model which part is meant.

Source:
    tensorflow/core/kernels/image/draw_bounding_box_op.cc, which big_vision's `draw_bbox` calls (0127fb6): edges are
    truncated to rows and columns in single precision, and both ends of a line are painted.
"""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from finetune.geometry import Box


def paint_outline(pixels: UInt8[Tensor, "3 h w"], box: Box, color: tuple[int, int, int]) -> UInt8[Tensor, "3 h w"]:
    """Return a copy with the box's outline in a colour (red, green, blue: 0..255)."""
    painted = pixels.clone()
    _, height, width = pixels.shape
    top, bottom = _line(box.top, height), _line(box.bottom, height)
    left, right = _line(box.left, width), _line(box.right, width)
    levels = torch.tensor(color, dtype=torch.uint8)[:, None]
    for row in (top, bottom):
        painted[:, row, left : right + 1] = levels
    for column in (left, right):
        painted[:, top : bottom + 1, column] = levels
    return painted


def _line(edge: float, side: int) -> int:
    return int(np.float32(edge) * np.float32(side - 1))
