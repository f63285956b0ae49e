from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets_adapters.rows import RowPlace
from datasets_adapters.voc_masks import FOLDERS, VocMasks, read_class_masks, read_object_masks
from finetune.types import BadSampleError

PLACE = RowPlace(origin="Annotations/a.xml", sample_id="a")
SIZE = (10, 20)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One PNG in both folders: 1 and 3 are something, 255 a border."""
    values = np.zeros(SIZE, dtype=np.uint8)
    values[:5, :4], values[5:, 10:], values[4, 4:] = 1, 3, 255
    for folder in FOLDERS.values():
        (tmp_path / folder).mkdir()
        picture = Image.fromarray(values, mode="P")
        # A shorter palette would take the border's number away.
        picture.putpalette(list(range(256)) * 3)
        picture.save(tmp_path / folder / "a.png")
    return tmp_path


def test_objects_have_the_masks_of_their_numbers_and_one_that_is_hidden_has_none(root: Path) -> None:
    masks = read_object_masks(root, "a", SIZE, 4, PLACE)
    assert {number: mask.area_pixels for number, mask in masks.items()} == {1: 20, 3: 50}


def test_more_objects_than_the_annotation_has_are_refused(root: Path) -> None:
    with pytest.raises(BadSampleError, match=r"SegmentationObject: 'a.png' has an object 3, the annotation has 2"):
        read_object_masks(root, "a", SIZE, 2, PLACE)


def test_classes_have_the_labels_of_their_numbers(root: Path) -> None:
    found = read_class_masks(root, "a", SIZE, ("ant", "bee", "cat"), PLACE)
    assert [one.label for one in found] == ["ant", "cat"]
    with pytest.raises(BadSampleError, match=r"SegmentationClass: holds pixels of class 3"):
        read_class_masks(root, "a", SIZE, ("ant", "bee"), PLACE)


@pytest.mark.parametrize("masks", FOLDERS)
def test_a_file_that_is_missing_or_does_not_fit_is_refused(root: Path, masks: VocMasks) -> None:
    def read(name: str, size: tuple[int, int]) -> object:
        if masks is VocMasks.objects:
            return read_object_masks(root, name, size, 9, PLACE)
        return read_class_masks(root, name, size, "abc", PLACE)

    with pytest.raises(BadSampleError, match=f"{FOLDERS[masks]}: 'a.png' is 20 x 10, its image is 20 x 11"):
        read("a", (11, 20))
    with pytest.raises(BadSampleError, match=r"there is no 'b.png' .*list_folder=Segmentation lists .*missing-file"):
        read("b", SIZE)
    Image.new("RGB", (20, 10)).save(root / FOLDERS[masks] / "c.png")
    with pytest.raises(BadSampleError, match="it must be a grey or palette PNG"):
        read("c", SIZE)
