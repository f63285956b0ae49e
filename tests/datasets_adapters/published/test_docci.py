"""DOCCI, on rows made up for this test, in the authors' format."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.docci import Docci
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "docci"


def test_a_row_is_a_photograph_with_its_description() -> None:
    sample = Docci(root=str(ASSET)).open("train")[1]
    assert (sample.sample_id, sample.images[0].name) == ("train_00001", "images/train_00001.jpg")
    assert sample.captions[0].startswith("A level view of a box. The box stands")


def test_the_splits_are_told_apart_within_one_file() -> None:
    dataset = Docci(root=str(ASSET))
    sizes = {split: len(dataset.open(split)) for split in ("train", "test", "qual_dev", "qual_test", "train+test")}
    assert sizes == {"train": 3, "test": 1, "qual_dev": 1, "qual_test": 1, "train+test": 4}
    with pytest.raises(ValueError, match="there is no split 'val'"):
        dataset.open("val")


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no docci_descriptions.jsonlines.*google.github.io/docci"):
        Docci(root=str(tmp_path)).open("train")


def test_a_broken_row_is_named_and_spares_the_others(tmp_path: Path) -> None:
    root = tmp_path / "docci"
    shutil.copytree(ASSET, root)
    path = root / "docci_descriptions.jsonlines"
    path.write_text(path.read_text().replace('"train_00000.jpg"', '"../elsewhere.jpg"'))
    source = Docci(root=str(root)).open("train")
    with pytest.raises(BadSampleError, match=r"docci_descriptions.jsonlines: example train_00000: image_file"):
        source[0]
    assert source[1].captions
