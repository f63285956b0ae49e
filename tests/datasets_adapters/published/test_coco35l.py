"""COCO-35L, on captions made up for this test, in the authors' format."""

import pickle
import shutil
from collections import Counter
from pathlib import Path

import pytest

from datasets_adapters.published.coco35l import Coco35l
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "coco35l"


def test_a_row_is_a_photograph_in_one_language() -> None:
    sample = Coco35l(root=str(ASSET)).open("train_sw")[0]
    assert (sample.sample_id, sample.public_id) == ("9601_sw", 9601)
    assert sample.origin == "coco_mt_train.jsonl: image 9601 in sw"
    assert (sample.language, sample.category) == ("sw", "sw")
    assert sample.captions == ('sw box 0 . "q"', 'sw box 1 . "q"')


def test_english_is_what_was_translated_and_stands_once() -> None:
    sample = Coco35l(root=str(ASSET)).open("dev_en")[0]
    assert sample.captions == ("a box number 0 .", "a box number 1 .")


def test_every_language_has_the_same_photographs_so_that_an_even_shuffle_weighs_them_equally() -> None:
    source = Coco35l(root=str(ASSET)).open("train")
    samples = [source[index] for index in range(len(source))]
    assert len({sample.sample_id for sample in samples}) == len(samples) == 70
    assert set(Counter(sample.language for sample in samples).values()) == {2}


def test_images_are_found_in_either_folder_of_coco() -> None:
    source = Coco35l(root=str(ASSET)).open("train_de")
    names = [source[index].images[0].name for index in range(2)]
    assert names == ["val2014/COCO_val2014_000000009601.jpg", "train2014/COCO_train2014_000000009602.jpg"]


def test_languages_can_be_summed_and_others_are_refused() -> None:
    dataset = Coco35l(root=str(ASSET))
    assert len(dataset.open("dev_ar+dev_bn+dev_en")) == 3
    with pytest.raises(ValueError, match="there is no split 'dev_quz'"):
        dataset.open("dev_quz")


def test_an_index_beyond_the_split_is_refused() -> None:
    with pytest.raises(IndexError):
        Coco35l(root=str(ASSET)).open("dev_en")[1]


def test_a_source_travels_to_loader_processes() -> None:
    source = Coco35l(root=str(ASSET)).open("train")
    assert pickle.loads(pickle.dumps(source))[69] == source[69]


def test_a_folder_without_the_file_is_told_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no coco_mt_dev.jsonl.*google.github.io/crossmodal-3600"):
        Coco35l(root=str(tmp_path)).open("dev")


def test_a_broken_line_is_named_and_spares_the_others(tmp_path: Path) -> None:
    root = tmp_path / "coco35l"
    shutil.copytree(ASSET, root)
    path = root / "coco_mt_dev.jsonl"
    path.write_text(path.read_text().replace('"ar box 1 . \\"q\\""', '""'))
    dataset = Coco35l(root=str(root))
    with pytest.raises(BadSampleError, match=r"coco_mt_dev.jsonl: image 9603 in ar: translation_tokenized\[1\]"):
        dataset.open("dev_ar")[0]
    assert dataset.open("dev_bn")[0].captions


def test_a_photograph_that_is_not_there_is_named(tmp_path: Path) -> None:
    root = tmp_path / "coco35l"
    shutil.copytree(ASSET, root)
    shutil.rmtree(root / "val2014")
    with pytest.raises(BadSampleError, match=r"image 9603 in en: image_id: there is no 'train2014/"):
        Coco35l(root=str(root)).open("dev_en")[0]
