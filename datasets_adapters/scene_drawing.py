"""From the description of a scene to pixels: backgrounds, coloured shapes and words, each with its exact coverage."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

COLOURS: Mapping[str, Colour] = {
    "red": (214, 40, 40),
    "green": (46, 150, 62),
    "blue": (40, 84, 204),
    "yellow": (246, 204, 30),
    "purple": (132, 56, 168),
    "orange": (240, 124, 28),
    "cyan": (28, 176, 196),
    "pink": (240, 120, 176),
}
BACKGROUNDS = ("flat", "gradient", "noise", "stripes", "checks", "night")

_SUPERSAMPLING = 4
_INK: Colour = (20, 20, 20)
_OUTLINE: Colour = (252, 252, 252)
# The share of a night's pixels that shine.
_STARS = 0.02


def _regular(num_corners: int, *, start: float) -> list[tuple[float, float]]:
    angles = [math.radians(start + 360 * corner / num_corners) for corner in range(num_corners)]
    return [(math.cos(angle), math.sin(angle)) for angle in angles]


def _star() -> list[tuple[float, float]]:
    points = _regular(10, start=-90)
    return [(x, y) if corner % 2 == 0 else (0.45 * x, 0.45 * y) for corner, (x, y) in enumerate(points)]


def _cross() -> list[tuple[float, float]]:
    long, short = 0.95, 0.32
    arm = [(short, -long), (short, -short), (long, -short)]
    turns = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    return [(c * x - s * y, s * x + c * y) for c, s in turns for x, y in arm]


# Corners on or inside the unit circle, y downwards; a circle is a polygon with many.
SHAPES: Mapping[str, list[tuple[float, float]]] = {
    "circle": _regular(64, start=0),
    "square": _regular(4, start=45),
    "triangle": _regular(3, start=-90),
    "star": _star(),
    "cross": _cross(),
    "hexagon": _regular(6, start=0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One coloured shape. Pixels, origin top-left; `angle` turns clockwise, in degrees."""

    name: str
    colour: str
    centre_x: float
    centre_y: float
    radius: float
    angle: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word with the top-left corner of its ink box and its font size, in pixels."""

    text: str
    left: int
    top: int
    font_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """What lies behind everything. `angle` in degrees, `period` in pixels; each kind reads what it needs."""

    kind: str
    first: Colour
    second: Colour
    angle: float
    period: float
    noise_seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """How much of each pixel something covers, 0..255, in a window of the image that starts at (top, left)."""

    top: int
    left: int
    coverage: UInt8[np.ndarray, "h w"]

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the image that the patch lies on."""
        height, width = self.coverage.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


# Layout tries a shape against all others, and drawing needs it once more.
@lru_cache(maxsize=256)
def shape_patch(shape: Shape) -> Patch:
    """Draw a shape with soft edges; all of it must lie inside the image."""
    left, top = math.floor(shape.centre_x - shape.radius), math.floor(shape.centre_y - shape.radius)
    right, bottom = math.ceil(shape.centre_x + shape.radius), math.ceil(shape.centre_y + shape.radius)
    canvas = Image.new("L", ((right - left) * _SUPERSAMPLING, (bottom - top) * _SUPERSAMPLING))
    cosine, sine = math.cos(math.radians(shape.angle)), math.sin(math.radians(shape.angle))
    corners = [
        (
            (shape.centre_x + shape.radius * (cosine * x - sine * y) - left) * _SUPERSAMPLING,
            (shape.centre_y + shape.radius * (sine * x + cosine * y) - top) * _SUPERSAMPLING,
        )
        for x, y in SHAPES[shape.name]
    ]
    ImageDraw.Draw(canvas).polygon(corners, fill=255)
    return Patch(top=top, left=left, coverage=np.asarray(canvas.reduce(_SUPERSAMPLING)))


@lru_cache(maxsize=1024)
def word_size(text: str, font_size: int) -> tuple[int, int]:
    """Return (height, width) in pixels of a word with its outline."""
    left, top, right, bottom = _font(font_size).getbbox(text, stroke_width=1)
    return math.ceil(bottom - top), math.ceil(right - left)


def word_patch(word: Word, *, outlined: bool) -> Patch:
    """Draw a word, alone or with the one-pixel outline that keeps it readable on any colour."""
    return Patch(top=word.top, left=word.left, coverage=_word_coverage(word.text, word.font_size, outlined))


def draw(
    background: Background, shapes: tuple[Shape, ...], words: tuple[Word, ...], *, image_size: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Paint a square scene: background, then shapes in the given order, then words on top."""
    pixels = _paint_background(background, image_size)
    for shape in shapes:
        _blend(pixels, shape_patch(shape), COLOURS[shape.colour])
    for word in words:
        _blend(pixels, word_patch(word, outlined=True), _OUTLINE)
        _blend(pixels, word_patch(word, outlined=False), _INK)
    painted: UInt8[np.ndarray, "h w 3"] = np.rint(pixels).astype(np.uint8)
    return painted


def _paint_background(background: Background, image_size: int) -> Float[np.ndarray, "h w 3"]:
    first, second = np.asarray(background.first, np.float32), np.asarray(background.second, np.float32)
    if background.kind == "flat":
        return np.tile(first, (image_size, image_size, 1))
    if background.kind == "noise":
        noise = np.random.default_rng(background.noise_seed).random((image_size, image_size, 1), dtype=np.float32)
        return first + (second - first) * noise
    if background.kind == "night":
        is_star = np.random.default_rng(background.noise_seed).random((image_size, image_size, 1)) < _STARS
        return np.where(is_star, second, first)
    if background.kind == "checks":
        number = np.floor(np.arange(image_size, dtype=np.float32) / background.period)
        return _between(first, second, (number[:, None] + number[None, :]) % 2)
    angle = math.radians(background.angle)
    ramp = np.arange(image_size, dtype=np.float32)
    distance = ramp[None, :] * math.cos(angle) + ramp[:, None] * math.sin(angle)
    if background.kind == "gradient":
        share = (distance - distance.min()) / max(1e-6, float(distance.max() - distance.min()))
    else:
        share = (np.floor(distance / background.period) % 2).astype(np.float32)
    return _between(first, second, share.astype(np.float32))


def _between(
    first: Float[np.ndarray, "3"], second: Float[np.ndarray, "3"], share: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    mixed: Float[np.ndarray, "h w 3"] = first + (second - first) * share[..., None]
    return mixed


def _blend(pixels: Float[np.ndarray, "h w 3"], patch: Patch, colour: Colour) -> None:
    share = (patch.coverage / np.float32(255))[..., None]
    pixels[patch.window] += (np.asarray(colour, np.float32) - pixels[patch.window]) * share


@lru_cache(maxsize=1024)
def _word_coverage(text: str, font_size: int, outlined: bool) -> UInt8[np.ndarray, "h w"]:
    font = _font(font_size)
    left, top, _, _ = font.getbbox(text, stroke_width=1)
    height, width = word_size(text, font_size)
    canvas = Image.new("L", (width, height))
    ImageDraw.Draw(canvas).text((-left, -top), text, fill=255, font=font, stroke_width=int(outlined))
    return np.asarray(canvas)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font
