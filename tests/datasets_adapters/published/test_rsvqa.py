"""What the two RSVQA sets share, on rows made up for this test, in the authors' format."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.rsvqa_hr import RsvqaHr
from datasets_adapters.published.rsvqa_lr import RsvqaLr
from finetune.types import BadSampleError

ASSETS = Path(__file__).parents[2] / "assets" / "published"


@pytest.mark.parametrize(
    ("count", "bin_of_it"),
    [
        ("0", "0"),
        ("1", "between 1 and 10"),
        ("10", "between 1 and 10"),
        ("11", "between 11 and 100"),
        ("1000", "between 101 and 1000"),
        ("1001", "more than 1000"),
    ],
)
def test_counts_of_satellite_images_are_binned(tmp_path: Path, count: str, bin_of_it: str) -> None:
    _answer(tmp_path, "rsvqa_lr", "LR_split_train", "count", count)
    rows = RsvqaLr(root=str(tmp_path / "rsvqa_lr")).open("train")
    assert [row.answers for row in map(rows.__getitem__, range(len(rows))) if row.category == "count"] == [(bin_of_it,)]


@pytest.mark.parametrize(
    ("area", "bin_of_it"),
    [
        ("0m2", "0 m2"),
        ("7m2", "between 1 m2 and 10 m2"),
        ("95m2", "between 11 m2 and 100 m2"),
        ("101m2", "between 101 m2 and 1000 m2"),
        ("4000m2", "more than 1000 m2"),
    ],
)
def test_areas_of_aerial_photographs_are_binned_with_their_unit(tmp_path: Path, area: str, bin_of_it: str) -> None:
    _answer(tmp_path, "rsvqa_hr", "USGS_split_train", "area", area)
    rows = RsvqaHr(root=str(tmp_path / "rsvqa_hr")).open("train")
    assert [row.answers for row in map(rows.__getitem__, range(len(rows))) if row.category == "area"] == [(bin_of_it,)]


def test_an_answer_that_is_no_number_where_one_is_asked_for_is_refused_by_file_and_id(tmp_path: Path) -> None:
    _answer(tmp_path, "rsvqa_lr", "LR_split_train", "count", "many")
    with pytest.raises(
        BadSampleError, match=r"LR_split_train_questions.json: question 3: answer: must be a whole number"
    ):
        RsvqaLr(root=str(tmp_path / "rsvqa_lr")).open("train")[3]


def test_a_question_without_its_answer_is_refused_when_it_is_drawn(tmp_path: Path) -> None:
    shutil.copytree(ASSETS / "rsvqa_lr", tmp_path / "copy")
    path = tmp_path / "copy" / "LR_split_train_questions.json"
    questions = json.loads(path.read_text())
    questions["questions"][0]["answers_ids"] = []
    path.write_text(json.dumps(questions))
    with pytest.raises(BadSampleError, match=r"question 0: answer: must be text"):
        RsvqaLr(root=str(tmp_path / "copy")).open("train")[0]


def test_a_card_without_numbers_goes_with_its_data_set_and_leaves_the_others_alone() -> None:
    without = pickle.loads(pickle.dumps(RsvqaLr(root="given", numeric=False)))
    assert without.card.counts == {"train": 39_441, "val": 6_782, "test": 6_782}
    assert RsvqaLr(root="given").card is RsvqaLr.card
    assert RsvqaLr.card.counts["val"] == 10_005


def _answer(folder: Path, name: str, stem: str, kind: str, answer: str) -> None:
    """Copy an asset and give its question of one kind another answer."""
    shutil.copytree(ASSETS / name, folder / name)
    questions = json.loads((folder / name / f"{stem}_questions.json").read_text())["questions"]
    (wanted,) = (row["answers_ids"][0] for row in questions if row.get("type") == kind)
    path = folder / name / f"{stem}_answers.json"
    answers = json.loads(path.read_text())
    answers["answers"][wanted]["answer"] = answer
    path.write_text(json.dumps(answers))
