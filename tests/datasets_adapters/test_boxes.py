import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.rows import RowPlace
from finetune.geometry import Box
from finetune.types import BadSampleError

PLACE = RowPlace(origin="train.jsonl:3", sample_id="s3")
SIZE = (100, 200)


def _read(value: object, box_format: str = "xyxy_pixels", bad_boxes: BadBoxes = BadBoxes.refuse) -> Box | None:
    return read_box(value, BoxFormat[box_format], SIZE, "boxes[0]", PLACE, bad_boxes=bad_boxes)


@pytest.mark.parametrize(
    ("box_format", "numbers"),
    [
        ("xyxy_pixels", [20, 10, 100, 40]),
        ("yxyx_pixels", [10, 20, 40, 100]),
        ("xywh_pixels", [20, 10, 80, 30]),
        ("cxcywh_pixels", [60, 25, 80, 30]),
        ("xyxy_fraction", [0.1, 0.1, 0.5, 0.4]),
        ("yxyx_fraction", [0.1, 0.1, 0.4, 0.5]),
        ("xywh_fraction", [0.1, 0.1, 0.4, 0.3]),
        ("cxcywh_fraction", [0.3, 0.25, 0.4, 0.3]),
    ],
)
def test_every_format_says_the_same_box(box_format: str, numbers: list[float]) -> None:
    box = _read(numbers, box_format)
    assert box is not None
    assert (box.top, box.left, box.bottom, box.right) == pytest.approx((0.1, 0.1, 0.4, 0.5))


def test_location_bins_end_at_1023() -> None:
    assert _read([0, 0, 1023, 1023], "yxyx_bins") == Box(top=0, left=0, bottom=1, right=1)
    assert _read([0, 511.0, 1023, 1023], "yxyx_bins") == Box(top=0, left=511 / 1023, bottom=1, right=1)


@pytest.mark.parametrize(
    ("value", "box_format", "code"),
    [
        ([50, 10, 20, 40], "xyxy_pixels", "inverted-box"),
        ([20, 40, 50, 10], "xyxy_pixels", "inverted-box"),
        ([20, 10, -5, 30], "xywh_pixels", "inverted-box"),
        ([-20, 10, 50, 40], "xyxy_pixels", "box-outside-image"),
        ([20, 10, 250, 40], "xyxy_pixels", "box-outside-image"),
        ([20, 10, 50, 140], "xyxy_pixels", "box-outside-image"),
        ([300, 10, 350, 40], "xyxy_pixels", "box-outside-image"),
        ([200, 10, 201, 40], "xyxy_pixels", "empty-box"),
        ([20, 10, 20, 40], "xyxy_pixels", "empty-box"),
        ([20, 10, 0, 30], "xywh_pixels", "empty-box"),
        ([math.nan, 10, 50, 40], "xyxy_pixels", "not-finite"),
        ([20, 10, math.inf, 40], "xyxy_pixels", "not-finite"),
        ([20, 10, 10**400, 40], "xyxy_pixels", "not-finite"),
        ([20, 10, "50", 40], "xyxy_pixels", "wrong-type"),
        ([20, 10, True, 40], "xyxy_pixels", "wrong-type"),
        ([20, 10, None, 40], "xyxy_pixels", "wrong-type"),
        ([20, 10, 50], "xyxy_pixels", "box-length"),
        ([20, 10, 50, 40, 1], "xyxy_pixels", "box-length"),
        ({"x": 1}, "xyxy_pixels", "box-length"),
        (None, "xyxy_pixels", "box-length"),
        ([0.1, 0.1, 0.4, 0.5], "xyxy_pixels", "fraction-in-pixels"),
        ([0, 0, 1, 1], "xyxy_pixels", "fraction-in-pixels"),
        ([20, 10, 50, 40], "xyxy_fraction", "pixels-in-fraction"),
        ([0.1, 0.1, 1.2, 0.5], "xyxy_fraction", "box-outside-image"),
        ([0, 0, 1024, 1023], "yxyx_bins", "bin-out-of-range"),
        ([0, 0.5, 1023, 1023], "yxyx_bins", "bin-out-of-range"),
        ([-1, 0, 1023, 1023], "yxyx_bins", "bin-out-of-range"),
    ],
)
def test_a_bad_box_is_refused_with_its_reason(value: object, box_format: str, code: str) -> None:
    with pytest.raises(BadSampleError) as refusal:
        _read(value, box_format)
    assert refusal.value.code == code
    assert refusal.value.origin == "train.jsonl:3"
    assert refusal.value.sample_id == "s3"
    assert refusal.value.field_name.startswith("boxes[0]")


def test_pixels_need_the_images_size() -> None:
    with pytest.raises(BadSampleError, match="give width and height"):
        read_box([1, 2, 3, 4], BoxFormat.xyxy_pixels, None, "boxes[0]", PLACE, bad_boxes=BadBoxes.refuse)


def test_a_pixel_over_the_edge_is_rounding_and_clipped() -> None:
    place = RowPlace(origin="", sample_id="")
    numbers = [-0.4, 0, 200.6, 101]
    for bad_boxes in BadBoxes:
        box = read_box(numbers, BoxFormat.xyxy_pixels, SIZE, "boxes[0]", place, bad_boxes=bad_boxes)
        assert box == Box(top=0, left=0, bottom=1, right=1)
    assert place.notes == {}


@pytest.mark.parametrize(
    ("value", "expected", "note"),
    [
        ([-20, 10, 50, 140], Box(top=0.1, left=0, bottom=1, right=0.25), "boxes clipped to the image"),
        ([300, 10, 350, 40], None, "boxes left out: nothing of them is in the image"),
        ([20, 10, 20, 40], None, "boxes left out: nothing of them is in the image"),
        ([-9, -9, 0, 20], None, "boxes left out: nothing of them is in the image"),
    ],
)
def test_repair_clips_boxes_drops_those_that_vanish_and_counts_both(
    value: list[float], expected: Box | None, note: str
) -> None:
    place = RowPlace(origin="", sample_id="")
    for times in (1, 2):
        box = read_box(value, BoxFormat.xyxy_pixels, SIZE, "boxes[0]", place, bad_boxes=BadBoxes.repair)
        assert box == expected
        assert place.notes == {note: times}


def test_repair_does_not_guess_what_swapped_corners_mean() -> None:
    with pytest.raises(BadSampleError, match="inverted-box"):
        _read([50, 10, 20, 40], bad_boxes=BadBoxes.repair)


@given(
    value=st.lists(
        st.one_of(st.floats(), st.integers(), st.text(max_size=3), st.none(), st.booleans()), min_size=3, max_size=5
    ),
    box_format=st.sampled_from(list(BoxFormat)),
    bad_boxes=st.sampled_from(list(BadBoxes)),
)
def test_any_input_is_a_box_or_a_refusal(value: list[object], box_format: BoxFormat, bad_boxes: BadBoxes) -> None:
    try:
        box = read_box(value, box_format, SIZE, "boxes[0]", PLACE, bad_boxes=bad_boxes)
    except BadSampleError:
        return
    assert box is None or box.area >= 0
