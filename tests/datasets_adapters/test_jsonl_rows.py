from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets_adapters.boxes import BadBoxes
from datasets_adapters.jsonl_rows import RowRules, read_row
from finetune.types import BadSampleError

GOOD = {"image": "a.png", "prefix": "caption en", "suffix": "a cat"}


@pytest.fixture
def rules(tmp_path: Path) -> RowRules:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
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
    ({"image": "../a.png"}, "image", "path-escape"),
    ({"suffix": ""}, "suffix", "empty-text"),
    ({"suffix": 3}, "suffix", "wrong-type"),
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
]


@pytest.mark.parametrize(("change", "field_name", "code"), BAD_FIELDS)
def test_a_bad_field_is_refused_with_place_name_and_reason(
    rules: RowRules, change: dict[str, Any], field_name: str, code: str
) -> None:
    assert read_row(GOOD, rules, "train.jsonl:1").suffix == "a cat"
    with pytest.raises(BadSampleError) as refusal:
        read_row({**GOOD, **change}, rules, "train.jsonl:2")
    assert (refusal.value.origin, refusal.value.field_name, refusal.value.code) == ("train.jsonl:2", field_name, code)
