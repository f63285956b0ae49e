from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.data.transforms import ORIENTATIONS, orient_box, orient_pixels, orient_sample, orient_size
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.settings import BoxSpace
from finetune.types import BadSampleError, Instance, Sample

EIGHT = st.sampled_from(ORIENTATIONS)
# Turning back: every orientation is its own inverse but for the two quarter turns.
INVERSE = {**{number: number for number in ORIENTATIONS}, 6: 8, 8: 6}
SIZE = (40, 60)


def drawn(box: Box, size=SIZE) -> np.ndarray:
    """A picture that is white inside the box."""
    left, top, right, bottom = (round(edge) for edge in box.to_xyxy_pixels(size))
    pixels = np.zeros(size, dtype=np.uint8)
    pixels[top:bottom, left:right] = 255
    return pixels


@st.composite
def boxes(draw):
    top, bottom = sorted(draw(st.lists(st.integers(0, 40), min_size=2, max_size=2, unique=True)))
    left, right = sorted(draw(st.lists(st.integers(0, 60), min_size=2, max_size=2, unique=True)))
    return Box.from_xyxy_pixels(left, top, right, bottom, image_size=SIZE)


@given(boxes(), EIGHT)
def test_a_turned_box_is_where_its_pixels_went(box, orientation):
    turned = orient_pixels(drawn(box), orientation)
    assert np.array_equal(turned, drawn(orient_box(box, orientation), orient_size(SIZE, orientation)))


@given(boxes(), EIGHT)
def test_turning_there_and_back_changes_nothing(box, orientation):
    pixels = drawn(box)
    back = INVERSE[orientation]
    assert np.array_equal(orient_pixels(orient_pixels(pixels, orientation), back), pixels)
    returned = orient_box(orient_box(box, orientation), back)
    assert [returned.top, returned.left, returned.bottom, returned.right] == pytest.approx(
        [box.top, box.left, box.bottom, box.right]
    )


def sample(box: Box, **changes) -> Sample:
    mask = Mask.from_array(drawn(box))
    instance = Instance(label="cell", box=box, mask=mask)
    return replace(
        Sample(sample_id="a", origin="train.jsonl:17", images=(), image_size=SIZE, instances=(instance,)), **changes
    )


BOX = Box(top=0.25, left=0.1, bottom=0.5, right=0.8)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes_and_masks_on_the_stored_image_turn_with_it(orientation):
    shown = orient_size(SIZE, orientation)
    turned = orient_sample(sample(BOX), oriented_size=shown, orientation=orientation, drawn_on=BoxSpace.stored)
    (instance,) = turned.instances
    assert turned.image_size == shown
    assert np.array_equal(instance.mask.to_array() * 255, orient_pixels(drawn(BOX), orientation))
    assert np.array_equal(drawn(instance.box, shown), orient_pixels(drawn(BOX), orientation))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_annotations_on_the_image_as_people_see_it_stay(orientation):
    kept = orient_sample(sample(BOX), oriented_size=SIZE, orientation=orientation, drawn_on=BoxSpace.oriented)
    assert kept == sample(BOX)


def test_an_unknown_size_is_filled_in_and_missing_annotations_stay_missing():
    bare = Sample(sample_id="a", origin="x", images=())
    for drawn_on in BoxSpace:
        filled = orient_sample(bare, oriented_size=(3, 4), orientation=6, drawn_on=drawn_on)
        assert filled == replace(bare, image_size=(3, 4))


@pytest.mark.parametrize(
    ("oriented_size", "orientation", "drawn_on"),
    [((60, 40), 6, BoxSpace.oriented), (SIZE, 6, BoxSpace.stored), ((60, 40), 1, BoxSpace.stored)],
)
def test_annotations_of_the_other_orientation_are_refused_with_the_setting_to_change(
    oriented_size, orientation, drawn_on
):
    with pytest.raises(BadSampleError, match=r"annotations are for 60 x 40.*data\.boxes_drawn_on") as caught:
        orient_sample(sample(BOX), oriented_size=oriented_size, orientation=orientation, drawn_on=drawn_on)
    assert (caught.value.code, caught.value.origin) == ("image-size-mismatch", "train.jsonl:17")


def test_annotations_of_another_image_are_refused():
    with pytest.raises(BadSampleError, match=r"60 x 40, the oriented image is 1200 x 800.*annotated file"):
        orient_sample(sample(BOX), oriented_size=(800, 1200), orientation=1, drawn_on=BoxSpace.oriented)


def test_a_mask_of_another_size_is_refused_by_number():
    unsized = sample(BOX, image_size=None)
    with pytest.raises(BadSampleError, match="the mask is 60 x 40") as caught:
        orient_sample(unsized, oriented_size=(60, 40), orientation=6, drawn_on=BoxSpace.oriented)
    assert (caught.value.code, caught.value.field_name) == ("mask-size-mismatch", "masks[0]")


def test_locations_in_ready_made_text_cannot_be_turned_and_are_refused():
    ready = Sample(sample_id="a", origin="x", images=(), prefix="detect cell", suffix="<loc0001>" * 4 + " cell")
    assert orient_sample(ready, oriented_size=SIZE, orientation=1, drawn_on=BoxSpace.stored).suffix == ready.suffix
    assert orient_sample(ready, oriented_size=SIZE, orientation=6, drawn_on=BoxSpace.oriented).suffix == ready.suffix
    with pytest.raises(BadSampleError, match="cannot-turn-text"):
        orient_sample(ready, oriented_size=SIZE, orientation=6, drawn_on=BoxSpace.stored)
