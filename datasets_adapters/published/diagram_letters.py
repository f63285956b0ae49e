"""Letters painted over a diagram's labels, where a question speaks of A and B.

Source:
    big_vision datasets/ai2d/ai2d.py, `_draw_text` (0127fb6: white box, largest font that fits, centred, at its top).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from datasets_adapters.published.objects import is_object_of_objects
from datasets_adapters.rows import RowPlace, quote, read_text
from finetune.types import ImageFile, ImagePixels

_LARGEST_FONT = 100
# As data.max_pixels is by default, which a source does not see.
_MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter and the label that it replaces, with edges in pixels."""

    text: str
    left: float
    top: float
    right: float
    bottom: float


def letters_of(annotations: Mapping[str, Any], place: RowPlace) -> tuple[Letter, ...]:
    """Read the letters of one diagram, in the order of its labels.

    Raises:
        BadSampleError: If a label has no letter, or its rectangle is none.
    """
    labels = annotations.get("text")
    if not is_object_of_objects(labels):
        place.refuse("text", "wrong-type", f"of the annotations must be an object of labels, got {quote(labels)}")
    return tuple(_letter(name, label, place) for name, label in labels.items())


def _letter(name: str, label: Mapping[str, Any], place: RowPlace) -> Letter:
    match label.get("rectangle"):
        case [[int() | float() as left, int() | float() as top], [int() | float() as right, int() | float() as bottom]]:
            pass
        case other:
            place.refuse(f"text.{name}.rectangle", "wrong-type", f"must be two corners, got {quote(other)}")
    if right < left or bottom < top:
        place.refuse(f"text.{name}.rectangle", "inverted-box", f"must be ordered, got {quote(label['rectangle'])}")
    text = read_text(label.get("replacementText"), f"text.{name}.replacementText", place)
    return Letter(text=text, left=left, top=top, right=right, bottom=bottom)


def painted(image: ImageFile, letters: Sequence[Letter], font: Path | None) -> ImagePixels:
    """Decode an image and paint letters on it.

    Args:
        font: TrueType file; None: the font that comes with Pillow.

    Raises:
        BadSampleError: If the image cannot be decoded.
    """
    from finetune.data.images import decode_image

    canvas = Image.fromarray(decode_image(image, max_pixels=_MAX_PIXELS, background=255).pixels)
    draw = ImageDraw.Draw(canvas)
    for letter in letters:
        draw.rectangle((letter.left, letter.top, letter.right, letter.bottom), fill="white")
        width, height = letter.right - letter.left, letter.bottom - letter.top
        fitting, drawn_width = _fitting_font(letter.text, width, height, font)
        draw.text((letter.left + (width - drawn_width) // 2, letter.top), letter.text, fill="black", font=fitting)
    return ImagePixels(name=image.name, pixels=np.asarray(canvas))


def _fitting_font(text: str, width: float, height: float, font: Path | None) -> tuple[ImageFont.FreeTypeFont, float]:
    """Return the largest font in which a text fits, and the text's width in it; the smallest where none does."""
    for size in range(_LARGEST_FONT, 0, -1):
        candidate = _font(font, size)
        _, _, drawn_width, drawn_height = candidate.getbbox(text)
        if drawn_width <= width and drawn_height <= height:
            break
    return candidate, drawn_width


@lru_cache(maxsize=2 * _LARGEST_FONT)
def _font(path: Path | None, size: int) -> ImageFont.FreeTypeFont:
    if path is not None:
        return ImageFont.truetype(str(path), size=size)
    font = ImageFont.load_default(size=size)
    # Pillow has another, unscalable font where FreeType is missing from it; its own wheels have FreeType.
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
