"""Rows with a question, its answers and an image."""

from pathlib import Path

import pytest

from datasets_adapters.published.question_rows import first_file, first_folder, read_question
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError, ImageFile

PLACE = RowPlace(origin="train.json: question 7", sample_id="7")
IMAGE = ImageFile(name="a.png", path=Path("a.png"))


def test_the_id_keeps_its_type_for_the_server() -> None:
    for identifier in (7, "7"):
        row = {"qid": identifier, "question": "What is it?", "answers": ["a", "b"]}
        sample = read_question(row, PLACE, image=IMAGE, id_key="qid")
        assert (sample.public_id, sample.sample_id, sample.answers) == (identifier, "7", ("a", "b"))


def test_answers_that_are_left_out_are_hidden() -> None:
    assert read_question({"qid": 7, "question": "What?"}, PLACE, image=IMAGE, id_key="qid").answers == ()


def test_a_row_without_an_id_is_refused() -> None:
    with pytest.raises(BadSampleError, match=r"train.json: question 7: qid: must be text"):
        read_question({"question": "What?"}, PLACE, image=IMAGE, id_key="qid")


def test_the_first_folder_and_file_that_are_there_are_taken(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "0.png").write_bytes(b"")
    assert first_folder(tmp_path, ("first", "second")) == "second"
    assert first_folder(tmp_path, ("first", "third")) == "first"
    found = first_file(tmp_path, ("second/0.tif", "second/0.png"), "image", PLACE)
    assert found == tmp_path / "second" / "0.png"
    with pytest.raises(BadSampleError, match=r"image: there is no 'second/1.tif'"):
        first_file(tmp_path, ("second/1.tif", "second/1.png"), "image", PLACE)
