import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.okvqa import OkVqa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "okvqa"


def test_the_ten_answers_are_the_normalised_ones() -> None:
    source = OkVqa(root=str(ASSET)).open("train")
    sample = source[0]
    assert len(source) == 3
    assert sample.sample_id == "91015"
    assert sample.question == "What is this shape used for?"
    assert sample.answers == ("box",) * 4 + ("pack",) * 2 + ("storage",) * 2 + ("box",) * 2
    assert sample.images[0].name == "train2014/COCO_train2014_000000009101.jpg"


def test_the_papers_test_set_is_val_and_the_last_tenth_of_train_can_be_kept_for_tuning() -> None:
    dataset = OkVqa(root=str(ASSET))
    assert [dataset.open("val")[index].sample_id for index in (0, 1)] == ["91035", "91045"]
    assert len(dataset.open("train[:-10%]")) + len(dataset.open("train[-10%:]")) == 3


def test_there_is_no_other_test_set() -> None:
    with pytest.raises(ValueError, match="there is no split 'test'"):
        OkVqa(root=str(ASSET)).open("test")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"OpenEnded_mscoco_val2014_questions.json .*okvqa.allenai.org"):
        OkVqa(root=str(tmp_path)).open("val")


def test_a_question_without_answers_is_refused_by_file_and_id(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "mscoco_val2014_annotations.json"
    content = json.loads(path.read_text())
    del content["annotations"][0]
    path.write_text(json.dumps(content))
    source = OkVqa(root=str(root)).open("val")
    with pytest.raises(BadSampleError, match=r"OpenEnded_mscoco_val2014_questions\.json: question 91035: answers"):
        source[0]
    assert source[1].answers[0] == "wood"
