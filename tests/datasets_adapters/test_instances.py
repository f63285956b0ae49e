from typing import Any

import pytest

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.instances import read_expressions, read_label, read_own_box
from datasets_adapters.rows import RowPlace
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import BadSampleError

PLACE = RowPlace(origin="train.jsonl:3", sample_id="s3")
SIZE = (100, 200)


def _box(value: Any, mask: Mask | None) -> Box | None:
    return read_own_box(value, mask, BoxFormat.xyxy_pixels, SIZE, "box", PLACE, bad_boxes=BadBoxes.refuse)


def test_a_box_that_is_not_written_down_is_the_masks_own() -> None:
    mask = Mask.from_polygons([[20, 10, 100, 10, 100, 40, 20, 40]], image_size=SIZE)
    assert _box(None, mask) == Box(top=0.1, left=0.1, bottom=0.4, right=0.5)
    assert _box([0, 0, 200, 100], mask) == Box(top=0, left=0, bottom=1, right=1)
    with pytest.raises(BadSampleError, match="box-length"):
        _box(None, None)


def test_a_label_that_the_data_set_does_not_have_is_refused_with_the_nearest_one() -> None:
    assert read_label("cat", ("cat", "dog"), "label", PLACE) == "cat"
    with pytest.raises(BadSampleError, match=r"'cta' is not among dataset\.labels; did you mean cat"):
        read_label("cta", ("cat", "dog"), "label", PLACE)


def test_expressions_are_texts_or_sentences_each_once() -> None:
    assert read_expressions("a cat", "said", PLACE) == ("a cat",)
    assert read_expressions([{"sent": "cat", "raw": "A cat"}, {"sent": "left"}, "left"], "said", PLACE) == (
        "A cat",
        "left",
    )


@pytest.mark.parametrize(
    ("value", "field_name", "code"),
    [
        ([], "said", "missing-expression"),
        (None, "said", "missing-expression"),
        ([3], "said[0]", "wrong-type"),
        (["a", " "], "said[1]", "empty-text"),
        ([{"text": "a"}], "said[0]", "wrong-type"),
    ],
)
def test_what_is_no_expression_is_refused(value: object, field_name: str, code: str) -> None:
    with pytest.raises(BadSampleError) as refusal:
        read_expressions(value, field_name.partition("[")[0], PLACE)
    assert (refusal.value.field_name, refusal.value.code) == (field_name, code)
