from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets_adapters.boxes import BoxFormat
from datasets_adapters.hf_objects import ObjectReader
from datasets_adapters.hf_rows import ColumnReader
from finetune.types import BadSampleError, ImageBytes, ImageFile, Sample


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    return tmp_path


def _read(folder: Path | None, row: dict[str, Any], **settings: Any) -> Sample:
    reader = ColumnReader(
        place="rows[train]",
        folder=folder,
        columns={name: name for name in row},
        class_names=settings.get("class_names", {}),
        objects=ObjectReader(folder=folder, label_set=("ant",), box_format=BoxFormat.xyxy_pixels),
    )
    return reader.read(row, 5)


@pytest.mark.parametrize(
    "objects",
    [
        {"bbox": [[20, 10, 100, 40]], "category": ["ant"], "area": [3.0], "note": "ignored"},
        [{"bbox": [20, 10, 100, 40], "category": "ant"}],
    ],
)
def test_objects_come_as_lists_or_as_dicts(folder: Path, objects: Any) -> None:
    sample = _read(folder, {"image": "a.png", "objects": objects})
    assert sample.instances is not None
    assert [instance.label for instance in sample.instances] == ["ant"]
    assert (sample.sample_id, sample.origin) == ("row-5", "rows[train] row 5")


def test_an_absolute_path_inside_the_folder_is_as_good_as_a_relative_one(folder: Path) -> None:
    sample = _read(folder, {"image": {"bytes": None, "path": str(folder / "a.png")}})
    assert sample.images == (ImageFile(name="a.png", path=folder / "a.png"),)


def test_a_hub_row_may_only_name_downloaded_files(folder: Path) -> None:
    with pytest.raises(BadSampleError, match="path-outside-folder"):
        _read(None, {"image": {"bytes": None, "path": str(folder / "a.png")}})


def test_a_row_may_hold_several_images_and_its_boxes_are_on_the_first(folder: Path) -> None:
    Image.new("RGB", (40, 40)).save(folder / "b.png")
    content = (folder / "b.png").read_bytes()
    objects = [{"bbox": [20, 10, 100, 40], "category": "ant"}]
    sample = _read(folder, {"image": ["a.png", {"bytes": content, "path": None}], "objects": objects})
    assert sample.images == (
        ImageFile(name="a.png", path=folder / "a.png"),
        ImageBytes(name="image[1]", data=content),
    )
    assert sample.image_size == (100, 200)


def test_a_row_without_objects_is_not_opened_for_its_size(folder: Path) -> None:
    (folder / "a.png").write_bytes(b"no image")
    assert _read(folder, {"image": "a.png", "text": "x"}).image_size is None
    assert _read(folder, {"image": "a.png", "objects": []}).instances == ()


@pytest.mark.parametrize("value", [2, -1, "cat", None])
def test_a_class_number_without_a_name_is_refused(folder: Path, value: object) -> None:
    with pytest.raises(BadSampleError, match="unknown-class"):
        _read(folder, {"image": "a.png", "text": value}, class_names={"text": ("cat", "dog")})


@pytest.mark.parametrize(
    ("row", "field_name", "code"),
    [
        ({"image": "../a.png"}, "image", "path-escape"),
        ({"image": "/etc/passwd"}, "image", "absolute-path"),
        ({"image": "https://example.org/a.png"}, "image", "url-path"),
        ({"image": "b.png"}, "image", "missing-file"),
        ({"image": None}, "image", "wrong-type"),
        ({"image": []}, "image", "missing-field"),
        ({"image": ["a.png", None]}, "image[1]", "wrong-type"),
        ({"image": ["a.png", "b.png"]}, "image[1]", "missing-file"),
        ({"image": {"bytes": None, "path": None}}, "image", "missing-field"),
        ({"image": "a.png", "suffix": ""}, "suffix", "empty-text"),
        ({"image": "a.png", "suffix": 3}, "suffix", "wrong-type"),
        ({"image": "a.png", "answers": ["a", None]}, "answers[1]", "wrong-type"),
        ({"image": "a.png", "objects": {"bbox": [[1, 2, 3, 4]], "category": []}}, "objects", "wrong-type"),
        ({"image": "a.png", "objects": 3}, "objects", "wrong-type"),
        ({"image": "a.png", "objects": [{"bbox": [1, 2, 3], "category": "ant"}]}, "objects[0].bbox", "box-length"),
        ({"image": "a.png", "objects": [{"bbox": [1, 2, 3, 4]}]}, "objects[0].category", "wrong-type"),
        (
            {"image": "a.png", "objects": [{"bbox": [1, 2, 3, 4], "category": "aunt"}]},
            "objects[0].category",
            "unknown-label",
        ),
    ],
)
def test_a_bad_row_is_refused_with_its_reason(folder: Path, row: dict[str, Any], field_name: str, code: str) -> None:
    with pytest.raises(BadSampleError) as refusal:
        _read(folder, row)
    assert (refusal.value.field_name, refusal.value.code) == (field_name, code)
