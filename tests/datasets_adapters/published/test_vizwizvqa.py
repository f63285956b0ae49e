import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.vizwizvqa import VizWizVqa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "vizwizvqa"


def test_a_question_is_known_by_its_image() -> None:
    source = VizWizVqa(root=str(ASSET)).open("train")
    sample = source[1]
    assert len(source) == 3
    assert sample.sample_id == sample.public_id == "VizWiz_train_00009402.jpg"
    assert sample.question == "What does it say? Thank you."
    assert sample.answers == ("unanswerable",) * 8 + ("unsuitable",) * 2
    assert sample.images[0].name == "train/VizWiz_train_00009402.jpg"


def test_empty_answers_are_left_out_and_counted() -> None:
    source = VizWizVqa(root=str(ASSET)).open("train")
    assert source[0].answers == ("tea",) * 6 + ("green tea",) * 3
    assert source[0].notes == {"empty answers left out": 1}
    assert source[1].notes == {}


def test_hidden_answers_leave_a_question_to_ask() -> None:
    sample = VizWizVqa(root=str(ASSET)).open("test")[0]
    assert (sample.answers, sample.public_id) == ((), "VizWiz_test_00009406.jpg")


def test_the_folder_of_annotations_may_be_written_small(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    (root / "Annotations").rename(root / "annotations")
    assert len(VizWizVqa(root=str(root)).open("train+val")) == 5


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no split 'dev'"):
        VizWizVqa(root=str(ASSET)).open("dev")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Annotations/val.json or annotations/val.json .*vizwiz.org"):
        VizWizVqa(root=str(tmp_path)).open("val")


@pytest.mark.parametrize(
    ("change", "field_name"),
    [
        ({"answers": None}, "answers"),
        ({"answers": ["tea"]}, "answers"),
        ({"answers": [{"answer": ""}, {"answer": 2}]}, "answers[0].answer"),
        ({"question": None}, "question"),
    ],
)
def test_a_broken_row_is_refused_by_file_and_id_and_no_other(
    tmp_path: Path, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "Annotations" / "val.json"
    first, second = json.loads(path.read_text())
    path.write_text(json.dumps([first | change, second]))
    source = VizWizVqa(root=str(root)).open("val")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert refusal.value.origin == "val.json: image VizWiz_val_00009404.jpg"
    assert refusal.value.field_name == field_name
    assert source[1].answers == ("2",) * 10
