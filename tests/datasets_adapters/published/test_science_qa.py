"""ScienceQA, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.science_qa import ScienceQaImages
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "science_qa"


def test_a_row_is_a_question_with_its_choices_and_the_hint_where_there_is_one() -> None:
    rows = ScienceQaImages(root=str(ASSET)).open("train")
    assert (rows[0].sample_id, rows[0].choices, rows[0].answers) == ("9001", ("Maine", "Ohio", "Utah"), ("Maine",))
    assert rows[0].context is None
    assert rows[1].context == "Look at the picture.\nThen choose."
    assert rows[1].images[0].name == "images/train/9003/image.png"


def test_questions_without_an_image_are_left_out() -> None:
    dataset = ScienceQaImages(root=str(ASSET))
    assert [len(dataset.open(split)) for split in ("train", "val", "test", "train+val")] == [2, 1, 2, 3]


def test_images_are_found_in_the_folder_of_the_split_alone_too(tmp_path: Path) -> None:
    shutil.copytree(ASSET / "images", tmp_path, dirs_exist_ok=True)
    shutil.copy(ASSET / "problems.json", tmp_path)
    assert ScienceQaImages(root=str(tmp_path)).open("test")[0].images[0].name == "test/9005/image.png"


@pytest.mark.parametrize("answer", [3, -1, True, "0"])
def test_an_answer_that_is_no_choice_is_refused_by_id(tmp_path: Path, answer: object) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "problems.json"
    problems = json.loads(path.read_text())
    problems["9001"]["answer"] = answer
    path.write_text(json.dumps(problems))
    with pytest.raises(
        BadSampleError, match=r"problems.json: problem 9001: answer: must be a whole number from 0 to 2"
    ):
        ScienceQaImages(root=str(tmp_path / "copy")).open("train")[0]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no problems.json.*ScienceQA is to be had from https://github"):
        ScienceQaImages(root=str(tmp_path)).open("val")
    with pytest.raises(ValueError, match="there is no split 'minival'"):
        ScienceQaImages(root=str(ASSET)).open("minival")
