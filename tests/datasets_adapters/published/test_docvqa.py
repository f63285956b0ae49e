"""DocVQA, on rows made up for this test, in the authors' format."""

import json
import pickle
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.docvqa import DocVqa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "docvqa"


def test_a_row_is_a_question_with_all_its_answers_about_one_page() -> None:
    sample = DocVqa(root=str(ASSET)).open("train")[0]
    assert (sample.public_id, sample.question) == (9101, "What is the date of the letter?")
    assert sample.answers == ("3 May 1971", "May 3")
    assert [image.name for image in sample.images] == ["spdocvqa_images/zzzz0001_1.png"]


def test_test_questions_have_no_answers_and_keep_the_id_that_the_server_wants() -> None:
    rows = DocVqa(root=str(ASSET)).open("test")
    assert [(rows[index].public_id, rows[index].answers) for index in range(len(rows))] == [(9301, ()), (9302, ())]
    assert DocVqa.submission.id_key == "questionId"


def test_slices_and_sums_of_splits_are_read() -> None:
    dataset = DocVqa(root=str(ASSET))
    assert [len(dataset.open(split)) for split in ("train", "val", "train+val", "train[:-1]")] == [3, 2, 5, 2]


def test_the_layout_of_earlier_downloads_is_read(tmp_path: Path) -> None:
    for split, suffix in (("train", "_withQT"), ("test", "")):
        shutil.copytree(ASSET / "spdocvqa_images", tmp_path / split / "documents")
        file = ASSET / "spdocvqa_qas" / f"{split}_v1.0{suffix}.json"
        shutil.copy(file, tmp_path / split / f"{split}_v1.0.json")
    dataset = DocVqa(root=str(tmp_path))
    assert [image.name for image in dataset.open("train")[2].images] == ["train/documents/zzzz0002_4.png"]
    assert dataset.open("test")[0].public_id == 9301


def test_a_source_travels_to_another_process() -> None:
    rows = DocVqa(root=str(ASSET)).open("train+val")
    assert pickle.loads(pickle.dumps(rows))[4] == rows[4]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no spdocvqa_qas/val_v1.0_withQT.json.*DocVQA is to be had from https"):
        DocVqa(root=str(tmp_path)).open("val")
    with pytest.raises(ValueError, match="there is no split 'validation'"):
        DocVqa(root=str(ASSET)).open("validation")


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("image", "documents/../../secret.png", "image: .*climbs out"),
        ("image", None, "image: must be text"),
        ("question", " ", "question: must not be empty"),
        ("answers", [3], r"answers\[0\]: must be text"),
    ],
)
def test_a_broken_row_is_refused_by_file_and_id(tmp_path: Path, field: str, value: object, complaint: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "spdocvqa_qas" / "val_v1.0_withQT.json"
    content = json.loads(path.read_text())
    content["data"][0][field] = value
    path.write_text(json.dumps(content))
    source = DocVqa(root=str(tmp_path / "copy")).open("val")
    with pytest.raises(BadSampleError, match=rf"val_v1.0_withQT.json: question 9201: {complaint}"):
        source[0]
    assert source[1].public_id == 9202
