"""What is in a scene and where: drawn from a random stream, so that everything annotated can be seen."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from datasets_adapters.scene_drawing import Background, Colour, Patch, Shape, Word, shape_patch, word_patch, word_size

# Radius as a share of the image's side. The gap between the two keeps "small" and "large" apart.
SMALL_RADIUS = (0.10, 0.14)
LARGE_RADIUS = (0.18, 0.24)
_FONT_SIZE = (0.13, 0.19)
_MAX_TURN_DEGREES = 15.0
_NUM_TRIES = 20
_NOTHING, _WORD = -1, -2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """What scenes are made of: names to choose from, and how many of each to place."""

    image_size: int
    shapes: Sequence[str]
    colours: Sequence[str]
    words: Sequence[str]
    backgrounds: Sequence[str]
    num_shapes: tuple[int, int]
    num_words: tuple[int, int]
    min_visible: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One scene: shapes from the lowest to the topmost, words (above all shapes) in reading order."""

    background: Background
    shapes: tuple[Shape, ...]
    words: tuple[Word, ...]

    def is_held_out(self) -> bool:
        """Whether the scene belongs to the held-out half of all scenes: a property of its content alone."""
        return bool(hashlib.blake2b(repr(self).encode(), digest_size=1).digest()[0] & 1)


def arrange(ingredients: Ingredients, rng: np.random.Generator) -> tuple[Scene, Int[np.ndarray, "h w"]]:
    """Draw a scene.

    Returns:
        The scene, and for each pixel the index of the shape that is seen there, negative where it is none.
    """
    owners = np.full((ingredients.image_size, ingredients.image_size), _NOTHING, dtype=np.int64)
    words = _place_words(ingredients, rng)
    for word in words:
        patch = word_patch(word, outlined=True)
        owners[patch.window][_is_inside(patch)] = _WORD
    shapes, owners = _place_shapes(ingredients, owners, rng)
    return Scene(background=_choose_background(ingredients, rng), shapes=shapes, words=words), owners


def _place_words(ingredients: Ingredients, rng: np.random.Generator) -> tuple[Word, ...]:
    """Place words in rows of their own, so that reading order is top to bottom and nothing else."""
    words: list[Word] = []
    for _ in range(_between(ingredients.num_words, rng)):
        for _ in range(_NUM_TRIES):
            word = _draw_word(ingredients, rng)
            if all(_share_no_row(word, other) for other in words):
                words.append(word)
                break
    return tuple(sorted(words, key=lambda word: word.top))


def _draw_word(ingredients: Ingredients, rng: np.random.Generator) -> Word:
    side = ingredients.image_size
    text = _choose(ingredients.words, rng)
    font_size = max(8, round(_uniform(_FONT_SIZE, rng) * side))
    height, width = word_size(text, font_size)
    while width > side and font_size > 1:
        font_size -= 1
        height, width = word_size(text, font_size)
    left, top = int(rng.integers(side - width + 1)), int(rng.integers(side - height + 1))
    return Word(text=text, left=left, top=top, font_size=font_size)


def _share_no_row(first: Word, second: Word) -> bool:
    upper, lower = sorted((first, second), key=lambda word: word.top)
    return upper.top + word_size(upper.text, upper.font_size)[0] <= lower.top


def _place_shapes(
    ingredients: Ingredients, owners: Int[np.ndarray, "h w"], rng: np.random.Generator
) -> tuple[tuple[Shape, ...], Int[np.ndarray, "h w"]]:
    """Stack shapes; one that does not fit is drawn again elsewhere, and given up after many tries."""
    shapes: list[Shape] = []
    for _ in range(_between(ingredients.num_shapes, rng)):
        for _ in range(_NUM_TRIES):
            shape = _draw_shape(ingredients, rng)
            stacked = _lay_on_top(shape, shapes, owners, ingredients.min_visible)
            if stacked is not None:
                owners = stacked
                shapes.append(shape)
                break
    return tuple(shapes), owners


def _lay_on_top(
    shape: Shape, below: Sequence[Shape], owners: Int[np.ndarray, "h w"], min_visible: float
) -> Int[np.ndarray, "h w"] | None:
    """Return who is seen where after laying `shape` on the others; None where that would hide somebody too much.

    Shapes of one colour may not touch either: nobody could tell them apart.
    """
    patch = shape_patch(shape)
    inside = _is_inside(patch)
    under = owners[patch.window]
    if any(below[index].colour == shape.colour for index in np.unique(under[inside]) if index >= 0):
        return None
    stacked = owners.copy()
    stacked[patch.window][inside & (under != _WORD)] = len(below)
    areas = [int(_is_inside(shape_patch(other)).sum()) for other in below] + [int(inside.sum())]
    seen = np.bincount(stacked[stacked >= 0], minlength=len(areas))
    return stacked if (seen >= np.maximum(1, min_visible * np.array(areas))).all() else None


def _draw_shape(ingredients: Ingredients, rng: np.random.Generator) -> Shape:
    side = ingredients.image_size
    radius = _uniform(SMALL_RADIUS if rng.random() < 0.5 else LARGE_RADIUS, rng) * side
    return Shape(
        name=_choose(ingredients.shapes, rng),
        colour=_choose(ingredients.colours, rng),
        centre_x=_uniform((radius, side - radius), rng),
        centre_y=_uniform((radius, side - radius), rng),
        radius=radius,
        angle=_uniform((-_MAX_TURN_DEGREES, _MAX_TURN_DEGREES), rng),
    )


def _choose_background(ingredients: Ingredients, rng: np.random.Generator) -> Background:
    kind, first, second = _choose(ingredients.backgrounds, rng), _pale(rng), _pale(rng)
    if kind == "night":
        first = _dark(first)
    angle, period = _uniform((0, 180), rng), _uniform((0.05, 0.15), rng) * ingredients.image_size
    noise_seed = int(rng.integers(2**31))
    # What a kind does not read is 0, so that scenes that look the same are the same.
    return Background(
        kind=kind,
        first=first,
        second=first if kind == "flat" else second,
        angle=angle if kind in ("gradient", "stripes") else 0.0,
        period=period if kind in ("stripes", "checks") else 0.0,
        noise_seed=noise_seed if kind in ("noise", "night") else 0,
    )


def _pale(rng: np.random.Generator) -> Colour:
    """Draw a greyish colour, unlike that of any shape."""
    grey = rng.integers(165, 236)
    red, green, blue = (grey + rng.integers(-14, 15, size=3)).tolist()
    return red, green, blue


def _dark(pale: Colour) -> Colour:
    red, green, blue = pale
    return red // 5, green // 5, blue // 4


def _is_inside(patch: Patch) -> Bool[np.ndarray, "h w"]:
    inside: Bool[np.ndarray, "h w"] = patch.coverage >= 128
    return inside


def _between(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))


def _uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    return bounds[0] + (bounds[1] - bounds[0]) * float(rng.random())


def _choose(names: Sequence[str], rng: np.random.Generator) -> str:
    return names[int(rng.integers(len(names)))]
