import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.tallyqa import TallyQa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "tallyqa"


def test_a_count_is_answered_as_text() -> None:
    source = TallyQa(root=str(ASSET)).open("train")
    assert [source[index].answers for index in range(3)] == [("1",), ("0",), ("2",)]
    assert source[0].question == "How many boxes are there?"


def test_images_lie_in_the_folders_of_two_collections() -> None:
    source = TallyQa(root=str(ASSET)).open("train+test")
    folders = {source[index].images[0].name.partition("/")[0] for index in range(len(source))}
    assert folders == {"VG_100K", "VG_100K_2", "train2014", "val2014"}


def test_the_test_questions_alone_say_whether_they_are_simple() -> None:
    dataset = TallyQa(root=str(ASSET))
    train, test = dataset.open("train"), dataset.open("test")
    assert {train[index].category for index in range(3)} == {None}
    assert [test[index].category for index in range(2)] == ["simple", "complex"]


def test_both_ids_together_name_a_question() -> None:
    assert TallyQa(root=str(ASSET)).open("test")[0].sample_id == "929504/39504001"


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no split 'val'"):
        TallyQa(root=str(ASSET)).open("val")


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test.json .*github.com/manoja328/TallyQA_dataset"):
        TallyQa(root=str(tmp_path)).open("test")


@pytest.mark.parametrize(
    ("change", "field_name"),
    [
        ({"answer": 1.5}, "answer"),
        ({"answer": None}, "answer"),
        ({"issimple": "yes"}, "issimple"),
        ({"image": "VG_100K/none.jpg"}, "image"),
        ({"question": ""}, "question"),
    ],
)
def test_a_broken_row_is_refused_by_file_and_id_and_no_other(
    tmp_path: Path, change: dict[str, Any], field_name: str
) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    path = root / "test.json"
    first, second = json.loads(path.read_text())
    path.write_text(json.dumps([first | change, second]))
    source = TallyQa(root=str(root)).open("test")
    with pytest.raises(BadSampleError) as refusal:
        source[0]
    assert (refusal.value.origin, refusal.value.field_name) == ("test.json: question 929504/39504001", field_name)
    assert source[1].answers == ("3",)
