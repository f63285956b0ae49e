import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.gqa import Gqa, question_rows
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "gqa"


def test_a_question_is_known_by_its_key() -> None:
    source = Gqa(root=str(ASSET)).open("train_balanced+val_balanced")
    sample = source[0]
    assert len(source) == 5
    assert sample.sample_id == sample.public_id == "09301001"
    assert (sample.question, sample.answers) == ("What color is the box?", ("brown",))
    assert sample.images[0].name == "images/2409301.jpg"
    assert sample.origin == "train_balanced_questions.json: question 09301001"


def test_only_what_is_used_is_kept() -> None:
    rows = list(question_rows(ASSET / "testdev_balanced_questions.json"))
    assert rows[0] == {
        "question_id": "209304001",
        "imageId": "n9304",
        "question": "What is in the middle?",
        "answer": "ball",
    }


def test_hidden_answers_leave_a_question_to_ask() -> None:
    sample = Gqa(root=str(ASSET)).open("submission_all")[0]
    assert (sample.question, sample.answers, sample.public_id) == ("What is on the ground?", (), "09305001")


def test_an_unknown_split_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(ValueError, match="there is no split 'val_balance'; did you mean val_balanced"):
        Gqa(root=str(ASSET)).open("val_balance")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train_balanced_questions.json .*cs.stanford.edu/people/dorarad/gqa"):
        Gqa(root=str(tmp_path)).open("train_balanced")


@pytest.mark.parametrize(
    ("change", "field_name"),
    [({"answer": None}, "answer"), ({"imageId": "n1"}, "imageId"), ({"question": " "}, "question")],
)
def test_a_broken_row_is_refused_by_file_and_id_and_no_other(
    tmp_path: Path, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "val_balanced_questions.json"
    rows = json.loads(path.read_text())
    rows["09303001"] |= change
    path.write_text(json.dumps(rows))
    source = Gqa(root=str(root)).open("val_balanced")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert refusal.value.origin == "val_balanced_questions.json: question 09303001"
    assert refusal.value.field_name == field_name
    assert source[1].answers == ("box",)


def test_a_row_that_is_no_object_is_refused_when_it_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "val_balanced_questions.json").write_text('{"1": 2}')
    with pytest.raises(BadSampleError, match="question 1"):
        Gqa(root=str(tmp_path)).open("val_balanced")[0]
