import json
import re
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.coco_index import CocoIndex, read_files

IMAGES = [{"id": 9, "file_name": "a.png"}, {"id": "b", "file_name": "b.png"}]
OBJECTS: dict[str, Any] = {
    "images": IMAGES,
    "categories": [{"id": 7, "name": "zebra"}, {"id": 3, "name": "ant"}],
    "annotations": [{"id": 1, "image_id": 9, "category_id": 3}, {"id": 2, "image_id": 9, "category_id": 7}],
}
CAPTIONS: dict[str, Any] = {
    "images": [IMAGES[0], {"id": 5, "file_name": "c.png"}],
    "annotations": [{"id": 1, "image_id": 9, "caption": "an ant"}],
}


def _read(folder: Path, *contents: object) -> CocoIndex:
    paths = [folder / f"{number}.json" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(json.dumps(content))
    return read_files(paths)


@pytest.mark.parametrize("order", [1, -1])
def test_files_are_joined_by_image(tmp_path: Path, order: int) -> None:
    index = _read(tmp_path, *[OBJECTS, CAPTIONS][::order])
    images = {image.row["id"]: image for image in index.images}
    assert {name: image.has_objects for name, image in images.items()} == {9: True, "b": True, 5: False}
    assert [row["id"] for row in images[9].objects] == [1, 2]
    assert [row["caption"] for row in images[9].captions] == ["an ant"]
    assert list(index.categories.items()) == [(7, "zebra"), (3, "ant")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is no COCO file"),
        ({"annotations": []}, "is no COCO file"),
        ({"images": {}}, "'images' must be a list of objects"),
        ({"images": [3]}, "'images' must be a list of objects"),
        ({"images": []}, "no image is listed"),
        ({"images": [{"file_name": "a.png"}]}, "an image must have a whole number or text as 'id'"),
        ({"images": [{"id": True}]}, "an image must have a whole number or text as 'id'"),
        ({"images": [{"id": 1}, {"id": 1}]}, "an image: id 1 is used more than once"),
        (
            {"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "A.png"}]},
            "'a.png' and 'A.png' differ in",
        ),
        ({**OBJECTS, "annotations": OBJECTS["annotations"] * 2}, "an annotation: id 1 is used more than once"),
        (
            {**OBJECTS, "annotations": [{"id": 1, "image_id": 77}]},
            "annotation 1 is of image 77, which the file does not",
        ),
        ({**OBJECTS, "annotations": [{"id": 1, "image_id": [9]}]}, "annotation 1 is of image [9], which the file does"),
        ({**OBJECTS, "categories": []}, "it annotates objects, but has no categories"),
        ({**OBJECTS, "categories": [{"id": 1, "name": ""}]}, "category 1 needs a name of its own"),
        ({**OBJECTS, "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "category 2 needs a name"),
        ({**OBJECTS, "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "id 1 is used more than once"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        _read(tmp_path, content)


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"images": [', "is not JSON"), ('{"images": [], "images": []}', "more than once"), ('{"a": NaN}', "NaN")],
)
def test_text_that_is_no_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_files([tmp_path / "a.json"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": [{"id": 9, "file_name": "b.png"}]}, "image 9 has another file_name or size"),
        ({"images": [{**IMAGES[0], "width": 3}]}, "image 9 has another file_name or size"),
        ({"images": [IMAGES[0]], "categories": [{"id": 7, "name": "ant"}]}, "its categories differ"),
    ],
)
def test_files_that_disagree_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _read(tmp_path, OBJECTS, change)
