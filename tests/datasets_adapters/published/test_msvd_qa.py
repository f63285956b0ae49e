"""MSVD-QA, on questions made up for this test, in the authors' format."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.msvd_qa import MsvdQa
from finetune.data.frames import shown_images
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "msvd_qa"


def test_a_row_is_a_question_about_the_clip_that_its_number_stands_for() -> None:
    sample = MsvdQa(root=str(ASSET), frame_stride=2).open("train")[0]
    assert (sample.sample_id, sample.question, sample.answers) == ("0", "what is moving?", ("square",))
    assert [image.name for image in shown_images(sample, None)] == [
        "-4madeUpClip_5_15/000001.jpg",
        "-4madeUpClip_5_15/000003.jpg",
    ]


def test_splits_are_files_of_their_own_and_add_up() -> None:
    dataset = MsvdQa(root=str(ASSET))
    assert [len(dataset.open(split)) for split in ("train", "val", "test", "train+val")] == [2, 1, 1, 3]


def test_a_number_without_a_clip_is_refused_when_it_is_drawn(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "youtube_mapping.txt").write_text("-4madeUpClip_5_15 vid1\n")
    with pytest.raises(BadSampleError, match=r"val_qa.json: question 30933: video: there is no 'vid1201'"):
        MsvdQa(root=str(tmp_path / "copy")).open("val")[0]


def test_a_mapping_of_another_form_is_refused_by_line(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "youtube_mapping.txt").write_text("-4madeUpClip_5_15 vid1\nvid2\n")
    with pytest.raises(ValueError, match=r"youtube_mapping.txt:2 must be a clip's name and its number"):
        MsvdQa(root=str(tmp_path / "copy")).open("train")


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no youtube_mapping.txt.*MSVD-QA is to be had from"):
        MsvdQa(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'minival'"):
        MsvdQa(root=str(ASSET)).open("minival")
