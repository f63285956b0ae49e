import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from datasets_adapters.published.vqa_files import VqaDataset, VqaFiles
from finetune.published import DataCard
from finetune.types import Sample

SPLITS = {
    "train": VqaFiles(questions="q.json", answers="a.json", images="train2014"),
    "test": VqaFiles(questions="q.json", answers=None, images="train2014"),
}
QUESTION = {"question_id": 5, "image_id": 262148, "question": "What is it?"}


@dataclass(frozen=True, kw_only=True)
class Shapes(VqaDataset):
    """Questions about shapes."""

    card = DataCard(title="Shapes", homepage="https://example.org", licence="CC0", counts={}, counts_source="us")
    splits = SPLITS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "q.json").write_text(json.dumps({"questions": [QUESTION]}))
    (tmp_path / "a.json").write_text(json.dumps({"annotations": [{"question_id": 5, "answers": [{"answer": "a"}]}]}))
    (tmp_path / "train2014").mkdir()
    (tmp_path / "train2014" / "COCO_train2014_000000262148.jpg").touch()
    return tmp_path


def _read(root: Path, split: str) -> Sample:
    return Shapes(root=str(root)).open(split)[0]


def test_images_have_names_of_twelve_digits_that_repeat_their_folder(root: Path) -> None:
    assert _read(root, "train").images[0].name == "train2014/COCO_train2014_000000262148.jpg"


def test_answers_are_joined_by_question(root: Path) -> None:
    assert _read(root, "train").answers == ("a",)


def test_without_a_file_of_answers_there_are_none(root: Path) -> None:
    (root / "a.json").unlink()
    assert _read(root, "test").answers == ()


@pytest.mark.parametrize("name", ["q.json", "a.json"])
def test_a_missing_file_is_named(root: Path, name: str) -> None:
    (root / name).unlink()
    with pytest.raises(ValueError, match=rf"has no {name} .*https://example.org"):
        _read(root, "train")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"dataset\.root: there is no folder"):
        _read(tmp_path / "elsewhere", "train")


def test_a_number_of_a_question_stays_a_number(root: Path) -> None:
    assert _read(root, "train").public_id == 5
