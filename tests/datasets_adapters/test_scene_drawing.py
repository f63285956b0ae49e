import numpy as np
import pytest

from datasets_adapters.scene_drawing import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    Background,
    Shape,
    Word,
    draw,
    shape_patch,
    word_patch,
    word_size,
)

AREAS = {"circle": np.pi, "square": 2.0, "triangle": 1.299, "hexagon": 2.598}


def _background(kind: str) -> Background:
    return Background(kind=kind, first=(180, 180, 180), second=(220, 220, 220), angle=30, period=9, noise_seed=1)


def _shape(name: str, **changes: object) -> Shape:
    fields: dict[str, object] = {"colour": "red", "centre_x": 50, "centre_y": 40, "radius": 20, "angle": 0, **changes}
    return Shape(name=name, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("angle", [0, 13])
def test_a_shape_lies_where_it_should_with_soft_edges(name: str, angle: float) -> None:
    patch = shape_patch(_shape(name, angle=angle))
    assert (patch.top, patch.left, patch.coverage.shape) == (20, 30, (40, 40))
    assert patch.coverage.max() == 255
    assert ((patch.coverage > 0) & (patch.coverage < 255)).any()
    if name in AREAS:
        assert patch.coverage.sum() / 255 == pytest.approx(AREAS[name] * 20**2, rel=0.05)


@pytest.mark.parametrize("text", ["apple", "gypsy", "W", "iiii"])
@pytest.mark.parametrize("font_size", [8, 14, 40])
def test_a_words_ink_fills_its_box_and_stays_inside(text: str, font_size: int) -> None:
    word = Word(text=text, left=3, top=5, font_size=font_size)
    outlined, plain = word_patch(word, outlined=True), word_patch(word, outlined=False)
    assert outlined.coverage.shape == plain.coverage.shape == word_size(text, font_size)
    assert (outlined.top, outlined.left) == (5, 3)
    ink = outlined.coverage > 0
    assert ink.any(axis=1).sum() >= ink.shape[0] - 2
    assert ink.any(axis=0).sum() >= ink.shape[1] - 4 * len(text)
    assert outlined.coverage.sum() > plain.coverage.sum() > 0


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_backgrounds_stay_between_their_two_colours(kind: str) -> None:
    pixels = draw(_background(kind), (), (), image_size=60)
    assert pixels.shape == (60, 60, 3)
    assert (pixels.min(), pixels.max()) == ((180, 180) if kind == "flat" else (180, 220)) or kind == "noise"
    assert (pixels >= 180).all()
    assert (pixels <= 220).all()
    assert np.array_equal(pixels, draw(_background(kind), (), (), image_size=60))


def test_later_shapes_cover_earlier_ones_and_words_cover_shapes() -> None:
    below, above = _shape("circle"), _shape("circle", colour="blue", radius=10)
    pixels = draw(_background("flat"), (below, above), (), image_size=100)
    assert tuple(pixels[40, 50]) == COLOURS["blue"]
    assert tuple(pixels[40, 35]) == COLOURS["red"]
    word = Word(text="W", left=40, top=30, font_size=20)
    covered = draw(_background("flat"), (below, above), (word,), image_size=100)
    assert (covered[30:50, 40:60].astype(int).sum(axis=2) < 90).any()
