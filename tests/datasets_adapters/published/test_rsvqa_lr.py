"""RSVQA-LR, on rows made up for this test, in the authors' format."""

from pathlib import Path

import pytest

from datasets_adapters.published.rsvqa_lr import RsvqaLr

ASSET = Path(__file__).parents[2] / "assets" / "published" / "rsvqa_lr"


def test_a_row_is_a_question_with_its_answer_and_type() -> None:
    rows = RsvqaLr(root=str(ASSET)).open("train")
    assert [(rows[index].category, rows[index].answers) for index in range(len(rows))] == [
        ("presence", ("yes",)),
        ("comp", ("no",)),
        ("rural_urban", ("rural",)),
        ("count", ("between 11 and 100",)),
    ]
    assert [rows[index].images[0].name for index in (0, 2)] == ["Images_LR/0.tif", "Images_LR/1.tif"]


def test_entries_of_other_splits_are_passed_over() -> None:
    rows = RsvqaLr(root=str(ASSET)).open("val")
    assert [rows[index].public_id for index in range(len(rows))] == [4, 5, 6, 7]


def test_questions_for_a_count_can_be_left_out_and_the_published_numbers_follow() -> None:
    dataset = RsvqaLr(root=str(ASSET), numeric=False)
    assert len(dataset.open("train+val")) == 6
    assert dataset.card.counts["test"] == 6_782
    assert RsvqaLr(root=str(ASSET)).card.counts["test"] == 10_004


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no LR_split_val_questions.json.*to be had from https://zenodo"):
        RsvqaLr(root=str(tmp_path)).open("val")
    with pytest.raises(ValueError, match="there is no split 'test_2'"):
        RsvqaLr(root=str(ASSET)).open("test_2")
