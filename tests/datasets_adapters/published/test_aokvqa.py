import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.aokvqa import Aokvqa, AokvqaSetting
from finetune.published import Submits
from finetune.types import BadSampleError, Sample

ASSET = Path(__file__).parents[2] / "assets" / "published" / "aokvqa"
MULTIPLE_CHOICE = AokvqaSetting.multiple_choice


def _first(split: str, setting: AokvqaSetting) -> Sample:
    return Aokvqa(root=str(ASSET), setting=setting).open(split)[0]


def test_a_direct_answer_is_one_of_ten() -> None:
    sample = _first("train", AokvqaSetting.direct_answer)
    assert sample.sample_id == sample.public_id == "22aaMadeUpTrainAAAAAAA"
    assert sample.question == "What could be put into this?"
    assert sample.answers == ("books",) * 6 + ("toys",) * 4
    assert sample.choices == ()
    assert sample.images[0].name == "train2017/000000009201.jpg"


def test_multiple_choice_brings_the_choices_and_the_right_ones_text() -> None:
    source = Aokvqa(root=str(ASSET), setting=MULTIPLE_CHOICE).open("train+val")
    sample = source[1]
    assert sample.choices == ("slide", "roll", "fly", "melt")
    assert sample.answers == ("roll",)
    assert [source[index].category for index in range(len(source))] == [None] * 5


def test_questions_that_are_hard_to_answer_directly_can_be_told_apart() -> None:
    source = Aokvqa(root=str(ASSET)).open("train")
    assert [source[index].category for index in range(3)] == ["ordinary", "ordinary", "difficult"]


@pytest.mark.parametrize("setting", AokvqaSetting)
def test_hidden_answers_leave_a_question_to_ask(setting: AokvqaSetting) -> None:
    sample = _first("test", setting)
    assert sample.answers == ()
    assert len(sample.choices) == (4 if setting is MULTIPLE_CHOICE else 0)


@pytest.mark.parametrize("setting", AokvqaSetting)
def test_the_server_takes_one_object_with_the_settings_name_in_it(setting: AokvqaSetting) -> None:
    dataset = Aokvqa(root=".", setting=setting)
    assert isinstance(dataset, Submits)
    assert (dataset.submission.id_key, dataset.submission.answer_key) == (None, setting.name)


def test_a_source_goes_to_the_loaders_processes() -> None:
    source = Aokvqa(root=str(ASSET)).open("train+val")
    assert pickle.loads(pickle.dumps(source))[4] == source[4]


def test_an_unknown_split_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(ValueError, match="there is no split 'vall'; did you mean val"):
        Aokvqa(root=str(ASSET)).open("vall")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"aokvqa_v1p0_test.json .*github.com/allenai/aokvqa"):
        Aokvqa(root=str(tmp_path)).open("test")


@pytest.mark.parametrize(
    ("setting", "change", "field_name"),
    [
        ("direct_answer", {"direct_answers": None}, "direct_answers"),
        ("direct_answer", {"difficult_direct_answer": "no"}, "difficult_direct_answer"),
        ("direct_answer", {"image_id": None}, "image_id"),
        ("multiple_choice", {"correct_choice_idx": 4}, "correct_choice_idx"),
        ("multiple_choice", {"correct_choice_idx": True}, "correct_choice_idx"),
        ("multiple_choice", {"choices": None}, "choices"),
    ],
)
def test_a_broken_row_is_refused_by_file_and_id_and_no_other(
    tmp_path: Path, setting: str, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "aokvqa_v1p0_val.json"
    first, second = json.loads(path.read_text())
    path.write_text(json.dumps([first | change, second]))
    source = Aokvqa(root=str(root), setting=AokvqaSetting[setting]).open("val")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert refusal.value.origin == "aokvqa_v1p0_val.json: question 22aaMadeUpValAAAAAAAAA"
    assert refusal.value.field_name == field_name
    assert source[1].answers
