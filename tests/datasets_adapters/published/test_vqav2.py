import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.vqav2 import Vqav2
from finetune.types import BadSampleError, ImageFile

ASSET = Path(__file__).parents[2] / "assets" / "published" / "vqav2"
QUESTIONS = "v2_OpenEnded_mscoco_train2014_questions.json"
ANSWERS = "v2_mscoco_train2014_annotations.json"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str, dict[str, Any]], Vqav2]:
    """Return the data set with other values in the first row of one of its files."""

    def change(file: str, key: str, values: dict[str, Any]) -> Vqav2:
        root = shutil.copytree(ASSET, tmp_path / "copy")
        content = json.loads((root / file).read_text())
        content[key][0] |= values
        (root / file).write_text(json.dumps(content))
        return Vqav2(root=str(root))

    return change


def test_a_question_is_joined_with_its_answers_and_its_image() -> None:
    source = Vqav2(root=str(ASSET)).open("train")
    sample = source[1]
    assert len(source) == 3
    assert (sample.sample_id, sample.public_id) == ("9001001", 9001001)
    assert sample.question == "What shape is it?"
    assert sample.answers == ("box",) * 4 + ("rectangle",) * 3 + ("square",) * 2 + ("a box",)
    (image,) = sample.images
    assert isinstance(image, ImageFile)
    assert image.path == ASSET / "train2014" / "COCO_train2014_000000009001.jpg"


def test_kinds_of_answers_are_names_that_scores_can_carry() -> None:
    source = Vqav2(root=str(ASSET)).open("train+val")
    kinds = [source[index].category for index in range(len(source))]
    assert kinds == ["yesno", "other", "number"] * 2


@pytest.mark.parametrize("split", ["test", "test-dev"])
def test_hidden_answers_leave_a_question_to_ask(split: str) -> None:
    sample = Vqav2(root=str(ASSET)).open(split)[0]
    assert (sample.answers, sample.category, sample.public_id) == ((), None, 9005000)
    assert sample.images[0].name == "test2015/COCO_test2015_000000009005.jpg"


def test_an_unknown_split_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(ValueError, match="there is no split 'validation'"):
        Vqav2(root=str(ASSET)).open("validation")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{QUESTIONS} .*visualqa.org/download.html"):
        Vqav2(root=str(tmp_path)).open("train")


@pytest.mark.parametrize(
    ("file", "key", "values", "field_name"),
    [
        (QUESTIONS, "questions", {"question": ""}, "question"),
        (QUESTIONS, "questions", {"image_id": 1}, "image_id"),
        (QUESTIONS, "questions", {"image_id": None}, "image_id"),
        (ANSWERS, "annotations", {"answers": [{"answer_id": 1}]}, "answers[0].answer"),
        (ANSWERS, "annotations", {"question_id": 5}, "answers"),
        (ANSWERS, "annotations", {"answer_type": None}, "answer_type"),
    ],
)
def test_a_broken_row_is_refused_by_file_and_id_and_no_other(
    changed: Callable[[str, str, dict[str, Any]], Vqav2], file: str, key: str, values: dict[str, Any], field_name: str
) -> None:
    source = changed(file, key, values).open("train")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert (refusal.value.origin, refusal.value.field_name) == (f"{QUESTIONS}: question 9001000", field_name)
    assert source[1].sample_id == "9001001"


def test_a_question_without_an_id_is_refused(changed: Callable[[str, str, dict[str, Any]], Vqav2]) -> None:
    source = changed(QUESTIONS, "questions", {"question_id": None}).open("train")
    with pytest.raises(BadSampleError, match="question_id: must be text"):
        source[0]


def test_answers_given_twice_are_refused_at_once(changed: Callable[[str, str, dict[str, Any]], Vqav2]) -> None:
    with pytest.raises(ValueError, match="row 2 has the question_id 9001001 of a row before it"):
        changed(ANSWERS, "annotations", {"question_id": 9001001}).open("train")
