"""Images with boxes and masks painted into the pixels, for files that any viewer opens."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageColor, ImageDraw, ImageFont

from finetune.types import Instance

_FILL = 0.42
# Line width and letter height, as shares of the image's longer side, and their least in pixels.
_LINE, _LEAST_LINE = 0.003, 1
_LETTERS, _LEAST_LETTERS = 0.022, 9


def paint(
    pixels: UInt8[np.ndarray, "h w 3"], instances: Sequence[Instance], colours: Mapping[str, str]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with instances on it: masks filled and outlined, boxes with their labels.

    Args:
        instances: Their masks have the image's size.
        colours: A CSS colour for every label (`finetune.reporting.drawing.label_colours`).
    """
    painted = paint_masks(pixels, instances, colours)
    image = Image.fromarray(painted)
    draw, height, width = ImageDraw.Draw(image), pixels.shape[0], pixels.shape[1]
    line, font = _line_width(pixels), _font(pixels)
    for instance in instances:
        left, top, right, bottom = instance.box.to_xyxy_pixels((height, width))
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        draw.rectangle(corners, outline=colours[instance.label], width=line if instance.mask is None else 1)
    # Last, so that no other object's box runs through a label.
    for instance in instances:
        _paint_label(draw, instance, colours[instance.label], font, (height, width))
    return np.asarray(image)


def paint_masks(
    pixels: UInt8[np.ndarray, "h w 3"], instances: Sequence[Instance], colours: Mapping[str, str]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with masks filled and outlined, and nothing else on it."""
    painted = pixels.copy()
    for instance in instances:
        if instance.mask is not None:
            inside = mask_at(instance, (pixels.shape[0], pixels.shape[1]))
            colour = np.array(ImageColor.getrgb(colours[instance.label])[:3])
            painted[inside] = ((1 - _FILL) * painted[inside] + _FILL * colour).astype(np.uint8)
            painted[_rim(inside, _line_width(pixels))] = colour
    return painted


def mask_at(instance: Instance, image_size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Return an instance's mask at another resolution of its image. `image_size` is (height, width)."""
    assert instance.mask is not None, "only instances with a mask are asked for it"
    stored = Image.fromarray(instance.mask.to_array() * np.uint8(255))
    height, width = image_size
    inside: Bool[np.ndarray, "h w"] = np.asarray(stored.resize((width, height), Image.Resampling.BILINEAR)) >= 128
    return inside


def _rim(inside: Bool[np.ndarray, "h w"], thickness: int) -> Bool[np.ndarray, "h w"]:
    """Return the pixels inside a mask that are nearer to its edge than `thickness`."""
    core = np.pad(inside, 1)
    for _ in range(thickness):
        core[1:-1, 1:-1] &= core[:-2, 1:-1] & core[2:, 1:-1] & core[1:-1, :-2] & core[1:-1, 2:]
    rim: Bool[np.ndarray, "h w"] = inside & ~core[1:-1, 1:-1]
    return rim


def _paint_label(
    draw: ImageDraw.ImageDraw,
    instance: Instance,
    colour: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    image_size: tuple[int, int],
) -> None:
    """Put the label above the box, or inside it at the image's upper edge."""
    left, top, _, _ = instance.box.to_xyxy_pixels(image_size)
    x0, y0, x1, y1 = draw.textbbox((0, 0), instance.label, font=font)
    width, height = x1 - x0 + 6, y1 - y0 + 4
    x = max(0.0, min(left, image_size[1] - width))
    y = top - height if top >= height else top
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    draw.text((x + 3 - x0, y + 2 - y0), instance.label, fill="white", font=font)


def _line_width(pixels: UInt8[np.ndarray, "h w 3"]) -> int:
    return max(_LEAST_LINE, round(_LINE * _longer_side(pixels)))


def _font(pixels: UInt8[np.ndarray, "h w 3"]) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(max(_LEAST_LETTERS, round(_LETTERS * _longer_side(pixels))))


def _longer_side(pixels: UInt8[np.ndarray, "h w 3"]) -> int:
    return int(max(pixels.shape[:2]))
