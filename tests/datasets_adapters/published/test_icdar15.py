"""ICDAR 2015, on words made up for this test, in the organisers' format."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.icdar15 import Icdar15
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "icdar15"
_WORDS = "ch4_training_localization_transcription_gt"


def test_a_row_is_an_image_with_its_words_commas_and_all() -> None:
    sample = Icdar15(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == "train/img_1"
    assert sample.image_size == (48, 64)
    words = sample.instances or ()
    assert [(word.label, word.is_crowd) for word in words] == [
        ("WAY", False),
        ("ONE", False),
        ("$1,000; OFF", False),
        ("###", True),
    ]
    assert words[2].box.to_xyxy_pixels((48, 64)) == pytest.approx((10, 30, 50, 44))


def test_the_test_words_of_another_task_are_taken_too(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "Challenge4_Test_Task4_GT").rename(tmp_path / "copy" / "Challenge4_Test_Task1_GT")
    words = Icdar15(root=str(tmp_path / "copy")).open("test")[0].instances or ()
    assert [word.label for word in words] == ["EXIT"]


def test_an_image_without_words_has_none_and_is_not_refused() -> None:
    assert Icdar15(root=str(ASSET)).open("train")[1].instances == ()


def test_splits_have_folders_of_their_own_and_add_up() -> None:
    source = Icdar15(root=str(ASSET)).open("train+test")
    names = [source[index].sample_id for index in range(len(source))]
    assert names == ["train/img_1", "train/img_2", "train/img_3", "test/img_1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1,2,3,4,5,6,7,WAY", r"words\[0\]: must be four corners and a word"),
        (b"8,4,40,4,40,14,8,14,", r"words\[0\]: must not be empty"),
        (b"\xff\xfe", "words: gt_img_1.txt is no text in UTF-8"),
    ],
)
def test_a_broken_line_is_refused_by_image(tmp_path: Path, content: bytes, message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / _WORDS / "gt_img_1.txt").write_bytes(content)
    with pytest.raises(BadSampleError, match=rf"{_WORDS}/gt_img_1.txt: image train/img_1: {message}"):
        Icdar15(root=str(tmp_path / "copy")).open("train")[0]


def test_a_missing_or_empty_folder_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset.root: there is no folder .*ch4_test_images"):
        Icdar15(root=str(tmp_path)).open("test")
    for name in ("ch4_test_images", "Challenge4_Test_Task4_GT"):
        (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=r"has no image; unpack ch4_test_images.zip"):
        Icdar15(root=str(tmp_path)).open("test")
    with pytest.raises(ValueError, match="there is no split 'val'"):
        Icdar15(root=str(ASSET)).open("val")
