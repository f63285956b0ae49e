"""RSVQA-HR, on rows made up for this test, in the authors' format."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from datasets_adapters.published.rsvqa_hr import RsvqaHr

ASSET = Path(__file__).parents[2] / "assets" / "published" / "rsvqa_hr"


def test_counts_stay_numbers_and_areas_are_binned() -> None:
    rows = RsvqaHr(root=str(ASSET)).open("train")
    assert [(rows[index].category, rows[index].answers) for index in range(len(rows))] == [
        ("presence", ("yes",)),
        ("comp", ("no",)),
        ("area", ("between 11 m2 and 100 m2",)),
        ("count", ("17",)),
    ]


def test_the_second_test_set_is_that_of_the_other_city() -> None:
    rows = RsvqaHr(root=str(ASSET), numeric=False).open("test_2")
    assert [rows[index].images[0].name for index in range(len(rows))] == ["Data/6.png", "Data/6.png"]
    assert rows[0].origin == "USGS_split_test_phili_questions.json: question 12"


def test_images_may_be_tiffs(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    stored = tmp_path / "copy" / "Data" / "0.png"
    with Image.open(stored) as image:
        image.save(stored.with_suffix(".tif"))
    stored.unlink()
    assert RsvqaHr(root=str(tmp_path / "copy")).open("train")[0].images[0].name == "Data/0.tif"


def test_questions_for_numbers_can_be_left_out_and_the_published_numbers_follow() -> None:
    dataset = RsvqaHr(root=str(ASSET), numeric=False)
    assert [len(dataset.open(split)) for split in ("train", "train+val", "test")] == [2, 4, 2]
    assert dataset.card.counts["test_2"] == 62_554


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no USGS_split_test_phili_questions.json.*to be had from https://zenodo"):
        RsvqaHr(root=str(tmp_path)).open("test_2")
    with pytest.raises(ValueError, match="there is no split 'phili'"):
        RsvqaHr(root=str(ASSET)).open("phili")
