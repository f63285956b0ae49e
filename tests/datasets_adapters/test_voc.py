import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets_adapters.boxes import BadBoxes
from datasets_adapters.voc import Voc
from datasets_adapters.voc_masks import VocMasks
from finetune.geometry import Box
from finetune.types import BadSampleError, ImageFile

GOOD = """<annotation><size><width>200</width><height>100</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>21</xmin><ymin>11</ymin><xmax>100</xmax><ymax>40</ymax></bndbox></object>
<object><name>dog</name><difficult>1</difficult>
<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>200</xmax><ymax>100</ymax></bndbox></object></annotation>"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "b"):
        Image.new("RGB", (200, 100)).save(tmp_path / "JPEGImages" / f"{name}.jpg")
        (tmp_path / "Annotations" / f"{name}.xml").write_text(GOOD)
    (tmp_path / "ImageSets/Main/train.txt").write_text("b\r\n\na\n")
    (tmp_path / "ImageSets/Main/val.txt").write_text("a\n")
    return tmp_path


def test_boxes_are_counted_from_one_and_include_both_ends(root: Path) -> None:
    source = Voc(root=str(root)).open("train")
    assert [source[index].sample_id for index in range(len(source))] == ["b", "a"]
    sample = source[1]
    assert sample.image_size == (100, 200)
    assert sample.label_set == ("cat", "dog")
    assert sample.instances is not None
    assert [instance.label for instance in sample.instances] == ["cat", "dog"]
    assert sample.instances[0].box == Box(top=0.1, left=0.1, bottom=0.4, right=0.5)
    assert sample.instances[1].box == Box(top=0, left=0, bottom=1, right=1)


def test_difficult_objects_can_be_left_out(root: Path) -> None:
    sample = Voc(root=str(root), keep_difficult=False).open("train")[0]
    assert [instance.label for instance in sample.instances or ()] == ["cat"]
    assert sample.notes == {"objects left out: marked as difficult": 1}
    assert Voc(root=str(root)).open("train")[0].notes == {}


def test_both_splits_know_the_same_labels(root: Path) -> None:
    (root / "Annotations" / "b.xml").write_text(GOOD.replace("cat", "ant"))
    dataset = Voc(root=str(root))
    assert dataset.open("train").label_set == dataset.open("val").label_set == ("ant", "cat", "dog")
    assert Voc(root=str(root), labels=["dog", "ant", "cat"]).open("val").label_set == ("dog", "ant", "cat")


def test_an_image_without_objects_is_annotated(root: Path) -> None:
    (root / "Annotations" / "b.xml").write_text(re.sub(r"<object>.*</object>", "", GOOD, flags=re.DOTALL))
    assert Voc(root=str(root)).open("train")[0].instances == ()


@pytest.mark.parametrize(
    ("pattern", "replacement", "field_name", "code"),
    [
        ("<xmin>21<", "<xmin>121<", "object[0].bndbox", "inverted-box"),
        ("<xmin>21<", "<xmin>-21<", "object[0].bndbox", "box-outside-image"),
        ("<xmax>100<", "<xmax>300<", "object[0].bndbox", "box-outside-image"),
        ("<xmax>100<", "<xmax>20<", "object[0].bndbox", "empty-box"),
        ("<xmax>100<", "<xmax>NaN<", "object[0].bndbox[2]", "not-finite"),
        ("<xmax>100<", "<xmax>wide<", "object[0].bndbox/xmax", "wrong-type"),
        ("<xmax>100</xmax>", "", "object[0].bndbox/xmax", "wrong-type"),
        ("<name>cat</name>", "", "object[0].name", "empty-text"),
        ("<name>cat</name>", "<name>cta</name>", "object[0].name", "unknown-label"),
        ("<width>200<", "<width>0<", "size/width", "wrong-type"),
        ("<height>100</height>", "", "size/height", "wrong-type"),
        ("</annotation>", "", "annotation", "not-xml"),
        ("<annotation>", '<!DOCTYPE a [<!ENTITY x "y">]><annotation>', "annotation", "not-xml"),
        ("<annotation>", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation>', "annotation", "not-xml"),
    ],
)
def test_a_bad_annotation_is_refused_with_its_reason(
    root: Path, pattern: str, replacement: str, field_name: str, code: str
) -> None:
    assert pattern in GOOD
    (root / "Annotations" / "a.xml").write_text(GOOD.replace(pattern, replacement))
    source = Voc(root=str(root), labels=["cat", "dog"]).open("train")
    assert source[0].sample_id == "b"
    with pytest.raises(BadSampleError) as refusal:
        source[1]
    error = refusal.value
    assert (error.origin, error.sample_id) == ("Annotations/a.xml", "a")
    assert (error.field_name, error.code) == (field_name, code)


def test_labels_are_scanned_past_a_broken_file(root: Path) -> None:
    (root / "Annotations" / "b.xml").write_text("<annotation>")
    source = Voc(root=str(root)).open("train")
    assert source.label_set == ("cat", "dog")
    with pytest.raises(BadSampleError, match="not-xml"):
        source[0]


@pytest.mark.parametrize("missing", ["Annotations/a.xml", "JPEGImages/a.jpg"])
def test_a_missing_file_is_refused_when_the_sample_is_read(root: Path, missing: str) -> None:
    (root / missing).unlink()
    source = Voc(root=str(root)).open("train")
    with pytest.raises(BadSampleError, match="missing-file"):
        source[1]


@pytest.mark.parametrize("name", ["../Annotations/a", "/etc/passwd"])
def test_a_name_that_leaves_the_folder_is_refused(root: Path, name: str) -> None:
    (root / "ImageSets/Main/train.txt").write_text(name + "\n")
    with pytest.raises(BadSampleError) as refusal:
        Voc(root=str(root)).open("train")[0]
    assert refusal.value.code in ("path-escape", "absolute-path")


def test_repair_clips_boxes(root: Path) -> None:
    (root / "Annotations" / "a.xml").write_text(GOOD.replace("<xmax>100<", "<xmax>300<"))
    sample = Voc(root=str(root), bad_boxes=BadBoxes.repair).open("train")[1]
    assert sample.instances is not None
    assert sample.instances[0].box.right == 1
    assert sample.notes == {"boxes clipped to the image": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no image"),
        (b"a\nb\na\n", "names 'a' more than once"),
        (b"a\nb\nA\n", "'a' and 'A' differ in upper and lower case alone"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_bad_list_is_refused_at_once(root: Path, content: bytes, message: str) -> None:
    (root / "ImageSets/Main/train.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Voc(root=str(root)).open("train")


@pytest.mark.parametrize(
    ("settings", "split", "message"),
    [
        ({"root": "/nowhere"}, "train", "dataset.root: there is no folder /nowhere"),
        ({}, "test", "dataset split 'test': there is no file"),
    ],
)
def test_missing_files_are_refused_by_name(root: Path, settings: dict[str, Any], split: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Voc(**{"root": str(root), **settings}).open(split)


def test_the_blood_cells_are_read(bccd: Path) -> None:
    dataset = Voc(root=str(bccd))
    counts: dict[str, int] = {}
    for split, num_images in (("train", 205), ("val", 87), ("test", 72)):
        source = dataset.open(split)
        assert len(source) == num_images
        assert source.label_set == ("Platelets", "RBC", "WBC")
        for index in range(num_images):
            sample = source[index]
            assert isinstance(sample.images[0], ImageFile)
            for instance in sample.instances or ():
                counts[instance.label] = counts.get(instance.label, 0) + 1
    assert counts == {"RBC": 4155, "WBC": 372, "Platelets": 361}


def _segment(root: Path, folder: str, name: str) -> None:
    """The cat is 1, the dog 2, and a border that belongs to nobody 255."""
    values = np.zeros((100, 200), dtype=np.uint8)
    values[10:40, 20:100], values[50:90, 110:190], values[40:42, 20:100] = 1, 2, 255
    picture = Image.fromarray(values, mode="P")
    # A shorter palette would take the border's number away.
    picture.putpalette(list(range(256)) * 3)
    (root / folder).mkdir(exist_ok=True)
    picture.save(root / folder / f"{name}.png")


def test_masks_of_objects_come_from_their_numbers_if_they_are_wanted(root: Path) -> None:
    _segment(root, "SegmentationObject", "a")
    cat, dog = Voc(root=str(root), masks=VocMasks.objects).open("train")[1].instances or ()
    assert cat.mask is not None
    assert dog.mask is not None
    assert cat.mask.to_array()[10:40, 20:100].all()
    assert (cat.mask.area_pixels, dog.mask.area_pixels) == (30 * 80, 40 * 80)
    assert dog.box == Box(top=0, left=0, bottom=1, right=1), "the annotated box, not the mask's own"
    unread = Voc(root=str(root)).open("train")[1]
    assert [one.mask for one in unread.instances or ()] == [None, None]


def test_the_numbers_are_those_of_the_annotation_file_also_where_objects_are_left_out(root: Path) -> None:
    _segment(root, "SegmentationObject", "a")
    first = GOOD.replace("<difficult>0", "<difficult>1").replace(
        "<name>dog</name><difficult>1", "<name>dog</name><difficult>0"
    )
    (root / "Annotations" / "a.xml").write_text(first)
    dataset = Voc(root=str(root), keep_difficult=False, masks=VocMasks.objects)
    (dog,) = dataset.open("train")[1].instances or ()
    assert dog.mask is not None
    assert dog.mask.area_pixels == 40 * 80


def test_classes_take_the_place_of_the_objects(root: Path) -> None:
    _segment(root, "SegmentationClass", "a")
    dataset = Voc(root=str(root), masks=VocMasks.classes, labels=["cat", "dog"])
    sample = dataset.open("train")[1]
    assert sample.label_set == ("cat", "dog")
    cat, dog = sample.instances or ()
    assert (cat.label, cat.box) == ("cat", Box(top=0.1, left=0.1, bottom=0.4, right=0.5))
    assert (dog.label, dog.box) == ("dog", Box(top=0.5, left=0.55, bottom=0.9, right=0.95))


def test_the_lists_of_images_with_masks_can_be_chosen(root: Path) -> None:
    (root / "ImageSets/Segmentation").mkdir()
    (root / "ImageSets/Segmentation/train.txt").write_text("a\n")
    source = Voc(root=str(root), list_folder="Segmentation").open("train")
    assert [source[index].sample_id for index in range(len(source))] == ["a"]


def test_an_image_without_the_masks_that_are_wanted_is_refused(root: Path) -> None:
    _segment(root, "SegmentationObject", "a")
    with pytest.raises(BadSampleError, match=r"Annotations/b\.xml: SegmentationObject: there is no 'b\.png'"):
        Voc(root=str(root), masks=VocMasks.objects).open("train")[0]
    (root / "SegmentationObject" / "a.png").rename(root / "SegmentationObject" / "b.png")
    one = GOOD[: GOOD.index("<object><name>dog")] + "</annotation>"
    (root / "Annotations" / "b.xml").write_text(one)
    with pytest.raises(BadSampleError, match=r"'b\.png' has an object 2, the annotation has 1"):
        Voc(root=str(root), masks=VocMasks.objects).open("train")[0]


@pytest.mark.parametrize("masks", [VocMasks.objects, VocMasks.classes])
def test_a_folder_of_masks_that_is_missing_is_refused_at_once(root: Path, masks: VocMasks) -> None:
    with pytest.raises(ValueError, match=r"dataset\.masks: there is no folder .*Segmentation"):
        Voc(root=str(root), masks=masks, labels=["cat", "dog"]).open("train")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "labels must be given with masks=classes"),
        ({"labels": ["a"], "keep_difficult": False}, "have no effect with masks=classes"),
        ({"labels": ["a"], "bad_boxes": BadBoxes.repair}, "have no effect with masks=classes"),
    ],
)
def test_settings_that_classes_contradict_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Voc(root=".", masks=VocMasks.classes, **settings)
