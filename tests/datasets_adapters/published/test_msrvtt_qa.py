"""MSRVTT-QA, on questions made up for this test, in the authors' format."""

from pathlib import Path

import pytest

from datasets_adapters.published.msrvtt_qa import MsrvttQa
from finetune.data.frames import shown_images

ASSET = Path(__file__).parents[2] / "assets" / "published" / "msrvtt_qa"


def test_a_row_is_a_question_about_the_clip_of_its_number() -> None:
    sample = MsrvttQa(root=str(ASSET), frame_stride=9).open("train")[1]
    assert (sample.sample_id, sample.public_id) == ("1", 1)
    assert (sample.question, sample.answers) == ("what color is the wall?", ("red",))
    assert [image.name for image in shown_images(sample, None)] == ["video0/000001.jpg"]


def test_splits_are_files_of_their_own_and_add_up() -> None:
    dataset = MsrvttQa(root=str(ASSET))
    assert [len(dataset.open(split)) for split in ("train", "val", "test", "train+val")] == [2, 1, 1, 3]
    assert dataset.open("test")[0].images[0].name == "video7010/000001.jpg"


def test_clips_that_are_gone_are_left_out_on_demand(tmp_path: Path) -> None:
    for name in ("train_qa.json", "val_qa.json"):
        (tmp_path / name).write_bytes((ASSET / name).read_bytes())
    (tmp_path / "frames" / "video6513").mkdir(parents=True)
    assert len(MsrvttQa(root=str(tmp_path), skip_missing_videos=True).open("val")) == 1
    with pytest.raises(ValueError, match="skip_missing_videos"):
        MsrvttQa(root=str(tmp_path), skip_missing_videos=True).open("train")


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"has no val_qa.json.*MSRVTT-QA is to be had from https://github.com/xudejing"
    ):
        MsrvttQa(root=str(tmp_path)).open("val")
    with pytest.raises(ValueError, match="there is no split 'validate'"):
        MsrvttQa(root=str(ASSET)).open("validate")
