import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from datasets_adapters.boxes import BadBoxes
from datasets_adapters.coco import Coco
from finetune.geometry import Box
from finetune.types import BadSampleError

RUNS = coco_mask.encode(np.asfortranarray(np.pad(np.ones((30, 80), np.uint8), ((10, 60), (20, 100)))))
INSTANCES: dict[str, Any] = {
    "info": {"year": 2017},
    "licenses": [],
    "images": [
        {"id": 9, "file_name": "a.png", "width": 200, "height": 100},
        {"id": 4, "file_name": "b.png", "width": 200, "height": 100},
    ],
    "categories": [{"id": 7, "name": "zebra", "supercategory": "animal"}, {"id": 3, "name": "ant"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 9,
            "category_id": 3,
            "bbox": [20, 10, 80, 30],
            "area": 2400,
            "iscrowd": 0,
            "segmentation": [[20, 10, 100, 10, 100, 40, 20, 40]],
        },
        {
            "id": 2,
            "image_id": 9,
            "category_id": 7,
            "bbox": [0, 0, 200, 100],
            "iscrowd": 1,
            "segmentation": {"size": [100, 200], "counts": [2000, 500, 17500]},
        },
        {
            "id": 3,
            "image_id": 9,
            "category_id": 7,
            "bbox": [20, 10, 80, 30],
            "segmentation": {"size": [100, 200], "counts": RUNS["counts"].decode()},
        },
    ],
}
CAPTIONS = {
    "images": [
        {"id": 9, "file_name": "a.png", "width": 200, "height": 100},
        {"id": 5, "file_name": "a.png", "width": 200, "height": 100},
    ],
    "annotations": [
        {"id": 1, "image_id": 9, "caption": "an ant"},
        {"id": 2, "image_id": 9, "caption": "a zebra"},
        {"id": 3, "image_id": 5, "caption": "again"},
    ],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (200, 100)).save(tmp_path / "val2017" / f"{name}.png")
    _write(tmp_path, INSTANCES)
    _write(tmp_path, CAPTIONS, "captions")
    return tmp_path


def _write(root: Path, content: object, kind: str = "instances") -> None:
    (root / "annotations" / f"{kind}_val2017.json").write_text(json.dumps(content))


def _changed(**annotation: Any) -> dict[str, Any]:
    first, *others = INSTANCES["annotations"]
    return {**INSTANCES, "annotations": [{**first, **annotation}, *others]}


def test_boxes_masks_and_crowds_are_read_with_the_files_names_and_order(root: Path) -> None:
    source = Coco(root=str(root)).open("val2017")
    first, second = source[0], source[1]
    assert (first.sample_id, second.sample_id) == ("9", "4")
    assert first.label_set == ("zebra", "ant")
    assert first.instances is not None
    assert [(instance.label, instance.is_crowd) for instance in first.instances] == [
        ("ant", False),
        ("zebra", True),
        ("zebra", False),
    ]
    assert first.instances[0].box == Box(top=0.1, left=0.1, bottom=0.4, right=0.5)
    assert second.instances == ()
    assert first.captions == ()


def test_masks_are_those_of_pycocotools(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oracle = COCO(root / "annotations" / "instances_val2017.json")
    capsys.readouterr()
    instances = Coco(root=str(root)).open("val2017")[0].instances
    assert instances is not None
    for instance, annotation in zip(instances, oracle.loadAnns([1, 2, 3]), strict=True):
        assert instance.mask is not None
        assert np.array_equal(instance.mask.to_array(), oracle.annToMask(annotation))


def test_masks_can_be_left_unread(root: Path) -> None:
    instances = Coco(root=str(root), masks=False).open("val2017")[0].instances
    assert instances is not None
    assert all(instance.mask is None for instance in instances)


def test_the_splits_place_in_a_path_can_be_typed_on_the_command_line(root: Path) -> None:
    typed = "dataset.annotations=[annotations/captions_@split.json]"
    annotations = OverridesParser.create().parse_override(typed).value()
    assert Coco(root=str(root), annotations=annotations).open("val2017")[0].captions


@pytest.mark.parametrize("kinds", [["instances", "captions"], ["captions", "instances"]])
def test_files_of_one_split_are_joined_by_image(root: Path, kinds: list[str]) -> None:
    source = Coco(root=str(root), annotations=[f"annotations/{kind}_@split.json" for kind in kinds]).open("val2017")
    samples = {source[index].sample_id: source[index] for index in range(len(source))}
    assert samples["9"].captions == ("an ant", "a zebra")
    assert len(samples["9"].instances or ()) == 3
    assert samples["4"].instances == ()
    assert (samples["5"].instances, samples["5"].captions) == (None, ("again",))


@pytest.mark.parametrize(
    ("change", "field_name", "code"),
    [
        ({"bbox": [20, 10, -1, 30]}, "annotation 1.bbox", "inverted-box"),
        ({"bbox": [20, 10, 0, 30]}, "annotation 1.bbox", "empty-box"),
        ({"bbox": [20, 10, 300, 30]}, "annotation 1.bbox", "box-outside-image"),
        ({"bbox": [20, 10, 30]}, "annotation 1.bbox", "box-length"),
        ({"bbox": None, "segmentation": []}, "annotation 1.bbox", "box-length"),
        ({"category_id": 8}, "annotation 1.category_id", "unknown-category"),
        ({"category_id": [8]}, "annotation 1.category_id", "unknown-category"),
        ({"iscrowd": 2}, "annotation 1.iscrowd", "wrong-type"),
        ({"segmentation": [[1, 2, 3, 4]]}, "annotation 1.segmentation[0]", "short-polygon"),
        ({"segmentation": {"size": [1, 2], "counts": [2]}}, "annotation 1.segmentation.size", "mask-size"),
        ({"segmentation": "x"}, "annotation 1.segmentation", "wrong-type"),
    ],
)
def test_a_bad_annotation_is_refused_with_its_reason(
    root: Path, change: dict[str, Any], field_name: str, code: str
) -> None:
    _write(root, _changed(**change))
    with pytest.raises(BadSampleError) as refusal:
        Coco(root=str(root)).open("val2017")[0]
    error = refusal.value
    assert (error.origin, error.sample_id) == ("instances_val2017.json: image 9", "9")
    assert (error.field_name, error.code) == (field_name, code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"file_name": "c.png"}, "missing-file"),
        ({"file_name": "../annotations/instances_val2017.json"}, "path-escape"),
        ({"file_name": 3}, "wrong-type"),
        ({"width": None}, "wrong-type"),
        ({"width": None, "height": None}, "unknown-size"),
    ],
)
def test_a_bad_image_is_refused_with_its_reason(root: Path, change: dict[str, Any], code: str) -> None:
    first, second = INSTANCES["images"]
    _write(root, {**INSTANCES, "images": [{**first, **change}, second]})
    with pytest.raises(BadSampleError) as refusal:
        Coco(root=str(root)).open("val2017")[0]
    assert refusal.value.code == code


def test_repair_clips_and_drops(root: Path) -> None:
    _write(root, _changed(bbox=[20, 10, 0, 30]))
    sample = Coco(root=str(root), bad_boxes=BadBoxes.repair).open("val2017")[0]
    assert len(sample.instances or ()) == 2
    assert sample.notes == {"boxes left out: nothing of them is in the image": 1}


def test_an_empty_segmentation_is_no_mask(root: Path) -> None:
    _write(root, _changed(segmentation=[]))
    instances = Coco(root=str(root)).open("val2017")[0].instances
    assert instances is not None
    assert instances[0].mask is None


@pytest.mark.parametrize(
    ("settings", "split", "message"),
    [
        ({"root": "/nowhere"}, "val2017", "dataset.root: there is no folder /nowhere"),
        ({}, "train2017", "dataset.image_folder: there is no folder"),
        ({"annotations": ["x.json"]}, "val2017", "dataset.annotations: there is no file"),
    ],
)
def test_missing_files_are_refused_by_name(root: Path, settings: dict[str, Any], split: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Coco(**{"root": str(root), **settings}).open(split)


def test_a_data_set_without_files_is_refused() -> None:
    with pytest.raises(ValueError, match="annotations must name at least one file"):
        Coco(root=".", annotations=[])


def test_an_object_without_a_bbox_has_its_masks_own(root: Path) -> None:
    _write(root, _changed(bbox=None))
    instances = Coco(root=str(root)).open("val2017")[0].instances
    assert instances is not None
    assert instances[0].box == Box(top=0.1, left=0.1, bottom=0.4, right=0.5)
    with pytest.raises(BadSampleError, match="box-length"):
        Coco(root=str(root), masks=False).open("val2017")[0]


@pytest.mark.parametrize(
    "sentences",
    [
        ["the ant", "the left one", "the ant"],
        [{"raw": "the ant", "sent": "ant"}, {"sent": "the left one"}],
    ],
)
def test_expressions_are_read_beside_the_category(root: Path, sentences: list[Any]) -> None:
    first, crowd, last = INSTANCES["annotations"]
    rows = [{**first, "sentences": sentences}, crowd, {**last, "sentences": "the zebra"}]
    _write(root, {**INSTANCES, "annotations": rows})
    instances = Coco(root=str(root), expressions="sentences").open("val2017")[0].instances
    assert instances is not None
    assert [(one.label, one.expressions) for one in instances] == [
        ("ant", ("the ant", "the left one")),
        ("zebra", ()),
        ("zebra", ("the zebra",)),
    ]
    plain = Coco(root=str(root)).open("val2017")[0].instances
    assert not any(one.expressions for one in plain or ())


@pytest.mark.parametrize(
    ("sentences", "code"), [([], "missing-expression"), (None, "missing-expression"), ([3], "wrong-type")]
)
def test_an_object_without_an_expression_is_refused(root: Path, sentences: Any, code: str) -> None:
    _write(root, _changed(sentences=sentences))
    with pytest.raises(BadSampleError) as refusal:
        Coco(root=str(root), expressions="sentences").open("val2017")[0]
    assert refusal.value.code == code
    assert refusal.value.field_name.startswith("annotation 1.sentences")
