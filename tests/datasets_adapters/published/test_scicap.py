"""SciCap, on figures made up for this test, in the archive's form."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.scicap import SciCap
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "scicap"


def test_a_row_is_a_figure_with_its_lowered_caption() -> None:
    sample = SciCap(root=str(ASSET)).open("train")[1]
    assert sample.sample_id == "2601.0002v1-Figure3-1"
    assert sample.captions == ("boxes as a function of grounds . error bars are absent .",)
    assert sample.images[0].name == "SciCap-No-Subfig-Img/train/2601.0002v1-Figure3-1.png"


def test_the_splits_are_those_of_the_list() -> None:
    dataset = SciCap(root=str(ASSET))
    assert {split: len(dataset.open(split)) for split in ("train", "val", "test", "train+val")} == {
        "train": 2,
        "val": 1,
        "test": 1,
        "train+val": 3,
    }


def test_an_unknown_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="there is no split 'Train'"):
        SciCap(root=str(ASSET)).open("Train")


def test_a_folder_without_the_list_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no List-of-Files.*file_idx.json.*tingyaohsu/SciCap"):
        SciCap(root=str(tmp_path)).open("train")


def test_a_list_of_another_form_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "scicap"
    shutil.copytree(ASSET, root)
    path = root / "List-of-Files-for-Each-Experiments/First-Sentence/No-Subfig/val/file_idx.json"
    path.write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"file_idx.json must be a list of file names"):
        SciCap(root=str(root)).open("val")


def test_a_figure_without_its_caption_is_named_and_spares_the_others(tmp_path: Path) -> None:
    root = tmp_path / "scicap"
    shutil.copytree(ASSET, root)
    path = root / "SciCap-Caption-All/train/2601.0001v1-Figure1-1.json"
    described = json.loads(path.read_text())
    del described["1-lowercase-and-token-and-remove-figure-index"]
    path.write_text(json.dumps(described))
    source = SciCap(root=str(root)).open("train")
    with pytest.raises(BadSampleError, match=r"train/file_idx.json: figure 2601.0001v1-Figure1-1: 1-lowercase"):
        source[0]
    assert source[1].captions
