"""COCO's captions in Karpathy's split, on rows made up for this test, in the file's format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.cococap import CocoCaptions
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "cococap"


def test_a_row_is_a_photograph_with_its_captions_as_they_were_typed() -> None:
    sample = CocoCaptions(root=str(ASSET)).open("train")[0]
    assert (sample.sample_id, sample.public_id) == ("9101", 9101)
    assert sample.origin == "dataset_coco.json: image 9101"
    assert sample.captions[2] == "One box and nothing else. "
    assert len(sample.captions) == 5
    assert sample.images[0].name == "train2014/COCO_train2014_000000009101.jpg"


def test_each_split_has_its_own_photographs() -> None:
    dataset = CocoCaptions(root=str(ASSET))
    sizes = {split: len(dataset.open(split)) for split in ("train", "restval", "val", "test", "train[:50%]+restval")}
    assert sizes == {"train": 2, "restval": 1, "val": 2, "test": 1, "train[:50%]+restval": 2}


def test_what_was_left_over_of_the_validation_images_lies_in_their_folder() -> None:
    sample = CocoCaptions(root=str(ASSET)).open("train+restval")[2]
    assert sample.images[0].name == "val2014/COCO_val2014_000000009103.jpg"


def test_an_unknown_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"there is no split 'rest'.*restval"):
        CocoCaptions(root=str(ASSET)).open("rest")


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no dataset_coco.json.*cs.stanford.edu.*CC BY 4.0"):
        CocoCaptions(root=str(tmp_path)).open("train")


def test_a_broken_row_is_named_and_spares_the_others(tmp_path: Path) -> None:
    root = tmp_path / "cococap"
    shutil.copytree(ASSET, root)
    whole = json.loads((root / "dataset_coco.json").read_text())
    del whole["images"][0]["sentences"][1]["raw"]
    (root / "dataset_coco.json").write_text(json.dumps(whole))
    source = CocoCaptions(root=str(root)).open("train")
    with pytest.raises(BadSampleError, match=r"dataset_coco.json: image 9101: sentences\[1\].raw: must be text"):
        source[0]
    assert source[1].captions
