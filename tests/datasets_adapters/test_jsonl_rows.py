from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets_adapters.boxes import BadBoxes
from datasets_adapters.jsonl_rows import RowRules, read_row
from finetune.geometry import Box
from finetune.types import BadSampleError

GOOD = {"image": "a.png", "prefix": "caption en", "suffix": "a cat"}


@pytest.fixture
def rules(tmp_path: Path) -> RowRules:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    return RowRules(
        image_folder=tmp_path,
        box_format=None,
        bad_boxes=BadBoxes.refuse,
        label_set=("a",),
        allow_empty_suffix=False,
    )


BAD_FIELDS = [
    ({"image": None}, "image", "missing-field"),
    ({"image": 3}, "image", "wrong-type"),
    ({"image": []}, "image", "wrong-type"),
    ({"image": "b.png"}, "image", "missing-file"),
    ({"images": ["a.png"]}, "images", "two-fields"),
    ({"image": None, "images": []}, "images", "wrong-type"),
    ({"image": None, "images": ["a.png", "b.png"]}, "images", "missing-file"),
    ({"image": None, "images": ["a.png", 3]}, "images", "wrong-type"),
    ({"image": None, "frames": 3}, "frames", "wrong-type"),
    ({"image": None, "frames": "clip"}, "frames", "missing-file"),
    ({"image": None, "frames": "a.png"}, "frames", "not-a-folder"),
    ({"image": None, "frames": "empty"}, "frames", "no-frames"),
    ({"image": None, "frames": "../empty"}, "frames", "path-escape"),
    ({"image": "../a.png"}, "image", "path-escape"),
    ({"suffix": ""}, "suffix", "empty-text"),
    ({"suffix": 3}, "suffix", "wrong-type"),
    ({"suffix": "<loc1024>"}, "suffix", "unknown-token"),
    ({"suffix": "<seg128>"}, "suffix", "unknown-token"),
    ({"image": "\udcff.png"}, "image", "lone-surrogate"),
    ({"question": "where is <loc0012>?"}, "question", "location-token"),
    ({"captions": ["a", "\ud800"]}, "captions[1]", "lone-surrogate"),
    ({"captions": ["a", ""]}, "captions[1]", "empty-text"),
    ({"captions": ""}, "captions", "empty-text"),
    ({"captions": {"a": 1}}, "captions", "wrong-type"),
    ({"answers": [""]}, "answers[0]", "empty-text"),
    ({"answers": [3]}, "answers[0]", "wrong-type"),
    ({"id": 1.5}, "id", "wrong-type"),
    ({"id": True}, "id", "wrong-type"),
    ({"width": 200}, "height", "wrong-type"),
    ({"width": 0, "height": 5}, "width", "wrong-type"),
    ({"sufix": "a"}, "sufix", "unknown-field"),
    ({"box_format": "xyxy", "boxes": [{"label": "a", "box": [1, 2, 3, 4]}]}, "box_format", "unknown-box-format"),
    ({"boxes": [{"label": "a", "box": [1, 2, 3, 4]}]}, "box_format", "undeclared-box-format"),
    ({"boxes": 3}, "boxes", "wrong-type"),
    ({"box_format": "xyxy_pixels", "boxes": [[1, 2, 3, 4]]}, "boxes[0]", "wrong-type"),
    ({"box_format": "xyxy_pixels", "boxes": [{"box": [1, 2, 3, 4]}]}, "boxes[0].label", "wrong-type"),
    ({"box_format": "xyxy_pixels", "boxes": [{"label": " ", "box": [1, 2, 3, 4]}]}, "boxes[0].label", "empty-text"),
    ({"box_format": "xyxy_pixels", "boxes": [{"label": "a", "box": [1, 2, 3]}]}, "boxes[0].box", "box-length"),
    ({"box_format": "xyxy_pixels", "boxes": [{"label": "a", "bbox": [1]}]}, "boxes[0].bbox", "unknown-field"),
    (
        {"box_format": "xyxy_pixels", "boxes": [{"label": "a", "box": [1, 2, 3, 4], "mask": []}]},
        "boxes[0].mask[0]",
        "short-polygon",
    ),
    (
        {"box_format": "xyxy_pixels", "boxes": [{"label": "a", "box": [1, 2, 3, 4], "is_crowd": "no"}]},
        "boxes[0].is_crowd",
        "wrong-type",
    ),
    (
        {"box_format": "xyxy_pixels", "boxes": [{"label": "a", "box": [1, 2, 3, 4], "expressions": []}]},
        "boxes[0].expressions",
        "missing-expression",
    ),
    (
        {"box_format": "xyxy_pixels", "boxes": [{"label": "a", "box": [1, 2, 3, 4], "expressions": ["x", 3]}]},
        "boxes[0].expressions[1]",
        "wrong-type",
    ),
]


@pytest.mark.parametrize(("change", "field_name", "code"), BAD_FIELDS)
def test_a_bad_field_is_refused_with_place_name_and_reason(
    rules: RowRules, change: dict[str, Any], field_name: str, code: str
) -> None:
    assert read_row(GOOD, rules, "train.jsonl:1").suffix == "a cat"
    with pytest.raises(BadSampleError) as refusal:
        read_row({**GOOD, **change}, rules, "train.jsonl:2")
    assert (refusal.value.origin, refusal.value.field_name, refusal.value.code) == ("train.jsonl:2", field_name, code)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("the left one", ("the left one",)),
        (["the left one", "a cat", "a cat"], ("the left one", "a cat")),
        ([{"sent": "left", "raw": "the left one"}], ("the left one",)),
    ],
)
def test_an_object_may_carry_what_it_is_called_in_words(
    rules: RowRules, written: object, read: tuple[str, ...]
) -> None:
    box = {"label": "a", "box": [10, 20, 30, 40], "expressions": written}
    row = {"image": "a.png", "box_format": "xyxy_pixels", "boxes": [box, {**box, "expressions": None}]}
    first, second = read_row(row, rules, "train.jsonl:1").instances or ()
    assert (first.label, first.expressions) == ("a", read)
    assert second.expressions == ()


def test_an_object_with_a_mask_needs_no_box_and_no_box_format(rules: RowRules) -> None:
    row = {"image": "a.png", "boxes": [{"label": "a", "mask": [[20, 10, 100, 10, 100, 40, 20, 40]]}]}
    (instance,) = read_row(row, rules, "train.jsonl:1").instances or ()
    assert instance.box == Box(top=0.1, left=0.1, bottom=0.4, right=0.5)
    assert instance.mask is not None
    boxed = {"label": "a", "box": [0, 0, 200, 100]}
    with pytest.raises(BadSampleError, match="undeclared-box-format"):
        read_row({**row, "boxes": [*row["boxes"], boxed]}, rules, "train.jsonl:1")
    with pytest.raises(BadSampleError, match=r"boxes\[0\].box.*box-length"):
        read_row({"image": "a.png", "box_format": "xyxy_pixels", "boxes": [{"label": "a"}]}, rules, "train.jsonl:1")
