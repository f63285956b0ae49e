"""ST-VQA, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.stvqa import StVqa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "stvqa"


def _ids(dataset: StVqa, split: str) -> list[str | int | None]:
    rows = dataset.open(split)
    return [rows[index].public_id for index in range(len(rows))]


def test_coco_images_are_taken_from_coco_itself_and_others_from_the_authors() -> None:
    rows = StVqa(root=str(ASSET)).open("train")
    assert rows[0].answers == ("Fizz", "FIZZ")
    assert [rows[index].images[0].name for index in (0, 2)] == [
        "train2014/COCO_train2014_000000000900.jpg",
        "train_images/vizwiz/text_900.jpg",
    ]


def test_without_a_coco_folder_the_authors_own_copies_are_shown(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "train2014").rename(tmp_path / "copy" / "train_images" / "coco-text")
    sample = StVqa(root=str(tmp_path / "copy"), coco_folder=None).open("train")[0]
    assert sample.images[0].name == "train_images/coco-text/COCO_train2014_000000000900.jpg"
    with pytest.raises(ValueError, match=r"dataset.coco_folder: there is no folder .*dataset.coco_folder=null"):
        StVqa(root=str(tmp_path / "copy")).open("train")


def test_all_questions_of_an_image_are_either_trained_on_or_validated_on() -> None:
    dataset = StVqa(root=str(ASSET))
    assert (_ids(dataset, "train"), _ids(dataset, "val")) == ([9401, 9402, 9403], [9404, 9405])
    assert _ids(dataset, "train+val") == [9401, 9402, 9403, 9404, 9405]


def test_a_list_of_images_decides_what_val_is(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "val.txt").write_text("vizwiz/text_900.jpg\n\n")
    dataset = StVqa(root=str(tmp_path / "copy"), val_list="val.txt")
    assert (_ids(dataset, "train"), _ids(dataset, "val")) == ([9401, 9402, 9404, 9405], [9403])
    with pytest.raises(ValueError, match=r"dataset.val_list: there is no file"):
        StVqa(root=str(ASSET), val_list="absent.txt").open("val")


def test_test_questions_have_no_answers_and_may_have_the_id_0() -> None:
    rows = StVqa(root=str(ASSET)).open("test")
    assert [(rows[index].public_id, rows[index].answers) for index in range(len(rows))] == [(0, ()), (1, ())]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no train_task_3.json.*ST-VQA is to be had from https://rrc"):
        StVqa(root=str(tmp_path), coco_folder=None).open("val")
    with pytest.raises(ValueError, match="there is no split 'subval'"):
        StVqa(root=str(ASSET)).open("subval")


def test_a_row_without_an_image_is_refused_by_file_and_id(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "train_task_3.json"
    content = json.loads(path.read_text())
    del content["data"][1]["file_path"]
    path.write_text(json.dumps(content))
    with pytest.raises(BadSampleError, match=r"train_task_3.json: question 9402: file_path: must be text"):
        StVqa(root=str(tmp_path / "copy")).open("train")[1]
