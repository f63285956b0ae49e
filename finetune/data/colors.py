"""Every way in which a decoder hands out colours, to 8-bit RGB.

1-bit, grey, palette, YCbCr, Lab        the same colours in RGB
CMYK                                    RGB without a colour profile, as viewers without one show it
alpha, transparent palette or colour    composited on `background`, so that hidden colours do not appear
16-bit                                  the high byte of the stored depth; never clipped (Pillow's convert would)
floating point, values over the depth   refused: no file says what their black and white are
ICC profiles                            ignored, as the original does
"""

import numpy as np
from jaxtyping import Integer, UInt8
from PIL import Image

_DEEP_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_BITS_PER_SAMPLE = 258


class ColorError(ValueError):
    """Colours that no rule covers."""


def to_rgb(image: Image.Image, background: int) -> tuple[UInt8[np.ndarray, "h w 3"], str | None]:
    """Convert a loaded image; return what changed its appearance, if anything did.

    Args:
        background: Grey level (0..255) behind transparent pixels.

    Raises:
        ColorError: If the colours have no declared range.
    """
    if image.mode in _DEEP_MODES:
        high_byte = _high_byte(image)
        return np.stack([high_byte] * 3, axis=-1), "images scaled from 16 to 8 bits"
    if image.mode == "F":
        raise ColorError("its pixels are floating-point numbers, which have no declared black and white")
    if image.has_transparency_data:
        below = Image.new("RGBA", image.size, (background, background, background, 255))
        shown = Image.alpha_composite(below, image.convert("RGBA"))
        return np.asarray(shown.convert("RGB")), "images with transparency put on data.background"
    return np.asarray(image.convert("RGB")), "images converted from CMYK" if image.mode == "CMYK" else None


def _high_byte(image: Image.Image) -> UInt8[np.ndarray, "h w"]:
    depth = _stored_depth(image)
    values: Integer[np.ndarray, "h w"] = np.asarray(image).astype(np.int64)
    if depth < 8 or values.min() < 0 or values.max() >= 1 << depth:
        raise ColorError(f"its grey levels run from {values.min()} to {values.max()}, which do not fit {depth} bits")
    return (values >> (depth - 8)).astype(np.uint8)


def _stored_depth(image: Image.Image) -> int:
    """Return how many bits a grey level has in the file. Pillow widens TIFF's 12 bits to 16 without scaling them."""
    if image.format != "TIFF":
        return 16
    # No microscope or scanner uses all of 32 bits: such files hold 16-bit levels.
    return min(int(np.max(image.getexif().get(_BITS_PER_SAMPLE, 16))), 16)
