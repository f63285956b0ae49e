"""Masks to train and to score the codec on: what is seen of the shapes in `scenes`, and random polygons."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw
from torch.nn import functional

from datasets_adapters.scene_layout import Ingredients, Scene, arrange
from datasets_adapters.scenes import Scenes

Pixels = UInt8[np.ndarray, "h w"]

# Named, so that a shape that is added to scenes some day does not change what the embedded codec was trained on.
SHAPES = ("circle", "square", "triangle", "star", "cross", "hexagon")

_SIDE = 64
_CANVAS = 160


def scene_masks(seed: int, *, held_out: bool) -> Iterator[Pixels]:
    """Crop what is seen of each shape of endless scenes, of one half of all scenes."""
    rng = np.random.default_rng([seed, int(held_out)])
    words = Scenes().words
    while True:
        ingredients = Ingredients(
            image_size=int(rng.integers(80, 241)),
            shapes=list(SHAPES),
            colours=["red", "green", "blue", "yellow", "purple"],
            words=words,
            backgrounds=["flat"],
            num_shapes=(1, 5),
            num_words=(0, 2),
            min_visible=float(rng.choice([0.5, 0.35])),
        )
        scene, owners = arrange(ingredients, rng)
        if scene.is_held_out() == held_out:
            yield from _seen(scene, owners, rng)


def polygon_masks(seed: int) -> Iterator[Pixels]:
    """Draw endless polygons: blobs, corners, thin lines; some in several parts, with holes or cut."""
    rng = np.random.default_rng(seed)
    while True:
        canvas = Image.new("L", (_CANVAS, _CANVAS))
        draw = ImageDraw.Draw(canvas)
        for _ in range(int(rng.choice([1, 2, 3], p=[0.75, 0.18, 0.07]))):
            _choose(rng)(draw, rng, 255)
        if rng.random() < 0.3:
            _choose(rng)(draw, rng, 0)
        pixels = (np.asarray(canvas) > 127).astype(np.uint8)
        if pixels.sum() >= 40:
            yield _crop(pixels, rng)


def soft_mask(crop: Pixels) -> UInt8[np.ndarray, "64 64"]:
    """Resize a crop as encoding does; the soft values as 0..255."""
    inputs = torch.from_numpy(np.ascontiguousarray(crop)).float()[None, None] * 255
    soft = functional.interpolate(inputs, (_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False)
    resized: UInt8[np.ndarray, "64 64"] = soft[0, 0].round().clamp(0, 255).byte().numpy()
    return resized


def _seen(scene: Scene, owners: np.ndarray, rng: np.random.Generator) -> Iterator[Pixels]:
    for index in range(len(scene.shapes)):
        yield _crop((owners == index).astype(np.uint8), rng)


def _crop(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Cut the mask out of its image; one in ten with a box that is not tight, as people's boxes are not."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    edges = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1], dtype=np.float64)
    if rng.random() < 0.1:
        height, width = edges[2] - edges[0], edges[3] - edges[1]
        edges += rng.uniform(-0.08, 0.08, 4) * np.array([height, width, height, width])
    limits = np.array([*pixels.shape, *pixels.shape])
    top, left, bottom, right = np.clip(np.rint(edges), 0, limits).astype(int)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


Drawer = Callable[[ImageDraw.ImageDraw, np.random.Generator, int], None]


def _choose(rng: np.random.Generator) -> Drawer:
    drawers: list[Drawer] = [_blob, _corners, _box, _line, _ellipse]
    return drawers[int(rng.choice(len(drawers), p=[0.4, 0.25, 0.12, 0.13, 0.1]))]


def _blob(draw: ImageDraw.ImageDraw, rng: np.random.Generator, fill: int) -> None:
    """A closed curve around its centre: a few random waves on a circle, stretched and turned."""
    angles = np.linspace(0, 2 * math.pi, 72, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(2, int(rng.integers(3, 8))):
        radius += rng.normal(0, 0.45 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * math.pi))
    _polygon(draw, rng, np.maximum(radius, 0.08), angles, fill)


def _corners(draw: ImageDraw.ImageDraw, rng: np.random.Generator, fill: int) -> None:
    """Three to nine corners in the order of their angles."""
    angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(3, 10))))
    _polygon(draw, rng, rng.uniform(0.35, 1, len(angles)), angles, fill)


def _polygon(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, radius: np.ndarray, angles: np.ndarray, fill: int
) -> None:
    turn, stretch, size = rng.uniform(0, 2 * math.pi), rng.uniform(0.35, 1), rng.uniform(20, 60)
    x, y = size * radius * np.cos(angles), size * stretch * radius * np.sin(angles)
    centre = rng.uniform(0.35, 0.65, 2) * _CANVAS
    turned = np.stack((math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y), axis=1)
    draw.polygon([(float(a), float(b)) for a, b in turned + centre], fill=fill)


def _box(draw: ImageDraw.ImageDraw, rng: np.random.Generator, fill: int) -> None:
    left, top = rng.uniform(10, 100, 2)
    width, height = rng.uniform(12, 60, 2)
    corner = float(rng.choice([0, 6, 14]))
    draw.rounded_rectangle((left, top, left + width, top + height), radius=corner, fill=fill)


def _ellipse(draw: ImageDraw.ImageDraw, rng: np.random.Generator, fill: int) -> None:
    left, top = rng.uniform(10, 100, 2)
    width, height = rng.uniform(12, 60, 2)
    draw.ellipse((left, top, left + width, top + height), fill=fill)


def _line(draw: ImageDraw.ImageDraw, rng: np.random.Generator, fill: int) -> None:
    points = rng.uniform(15, _CANVAS - 15, (int(rng.integers(2, 5)), 2))
    draw.line([(float(x), float(y)) for x, y in points], fill=fill, width=int(rng.integers(4, 18)), joint="curve")
