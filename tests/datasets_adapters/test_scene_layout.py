from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets_adapters.scene_drawing import BACKGROUNDS, COLOURS, SHAPES, shape_patch, word_size
from datasets_adapters.scene_layout import Ingredients, arrange

CROWDED = Ingredients(
    image_size=112,
    shapes=list(SHAPES),
    colours=list(COLOURS),
    words=["apple", "moon"],
    backgrounds=BACKGROUNDS,
    num_shapes=(4, 8),
    num_words=(2, 4),
    min_visible=0.6,
)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_everything_placed_can_be_seen(seed: int) -> None:
    scene, owners = arrange(CROWDED, np.random.default_rng(seed))
    for index, shape in enumerate(scene.shapes):
        whole = (shape_patch(shape).coverage >= 128).sum()
        assert (owners == index).sum() >= 0.6 * whole
    assert owners.max() == len(scene.shapes) - 1


@given(seed=st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_words_are_inside_the_image_and_in_rows_of_their_own(seed: int) -> None:
    scene, _ = arrange(CROWDED, np.random.default_rng(seed))
    bottom = 0
    for word in scene.words:
        height, width = word_size(word.text, word.font_size)
        assert word.top >= bottom
        bottom = word.top + height
        assert bottom <= 112
        assert word.left + width <= 112
    assert scene.words


def test_shapes_of_one_colour_never_touch() -> None:
    one_colour = replace(CROWDED, colours=["red"], num_shapes=(3, 6))
    for seed in range(20):
        scene, owners = arrange(one_colour, np.random.default_rng(seed))
        for index, shape in enumerate(scene.shapes):
            patch = shape_patch(shape)
            seen = owners[patch.window][patch.coverage >= 128]
            assert set(seen[seen >= 0].tolist()) == {index}


def test_a_scene_belongs_to_a_side_by_its_content_alone() -> None:
    sides = []
    for seed in range(40):
        scene, _ = arrange(CROWDED, np.random.default_rng(seed))
        again, _ = arrange(CROWDED, np.random.default_rng(seed))
        assert scene == again
        assert scene.is_held_out() == again.is_held_out()
        sides.append(scene.is_held_out())
    assert 8 < sum(sides) < 32


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_a_background_carries_nothing_that_cannot_be_seen(kind: str) -> None:
    scene, _ = arrange(replace(CROWDED, backgrounds=[kind]), np.random.default_rng(0))
    background = scene.background
    assert (background.noise_seed != 0) == (kind in ("noise", "night"))
    assert (background.period != 0) == (kind in ("stripes", "checks"))
    assert (background.angle != 0) == (kind in ("gradient", "stripes"))
    assert (background.first == background.second) == (kind == "flat")
