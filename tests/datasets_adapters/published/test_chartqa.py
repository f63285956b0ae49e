"""ChartQA, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.chartqa import ChartQa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "chartqa"


def test_a_row_is_a_question_and_the_kind_of_its_author() -> None:
    human, augmented = (ChartQa(root=str(ASSET)).open(f"train_{kind}")[0] for kind in ("human", "augmented"))
    assert (human.question, human.answers, human.category) == ("Which bar is the highest?", ("Iceland",), "human")
    assert (augmented.sample_id, augmented.answers, augmented.category) == ("train_augmented-0", ("1300",), "augmented")
    assert [image.name for image in human.images] == ["train/png/two_col_90010.png"]


def test_a_split_is_its_human_questions_and_then_the_augmented_ones() -> None:
    dataset = ChartQa(root=str(ASSET))
    rows = dataset.open("train+val")
    categories = [rows[index].category for index in range(len(rows))]
    assert categories == ["human", "human", "augmented", "augmented"] * 2
    assert len({rows[index].sample_id for index in range(len(rows))}) == len(rows)
    assert len(dataset.open("test_human[:1]")) == 1


def test_the_folder_of_the_authors_repository_is_found_in_its_parent(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "ChartQA Dataset")
    sample = ChartQa(root=str(tmp_path)).open("test")[0]
    assert [image.name for image in sample.images] == ["ChartQA Dataset/test/png/two_col_90030.png"]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no train/train_human.json.*ChartQA is to be had from https://github"):
        ChartQa(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match=r"there is no split 'test_machine'"):
        ChartQa(root=str(ASSET)).open("test_machine")


def test_a_row_without_an_answer_is_refused_by_file_and_number_when_it_is_drawn(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "val" / "val_human.json"
    rows = json.loads(path.read_text())
    rows[1]["label"] = ""
    path.write_text(json.dumps(rows))
    source = ChartQa(root=str(tmp_path / "copy")).open("val_human")
    assert source[0].answers == ("Iceland",)
    with pytest.raises(BadSampleError, match=r"val_human.json: row val_human-1: label: must not be empty"):
        source[1]
