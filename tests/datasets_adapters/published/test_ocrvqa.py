"""OCR-VQA, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters.published.ocrvqa import OcrVqa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "ocrvqa"


def test_each_question_about_a_cover_is_a_sample() -> None:
    rows = OcrVqa(root=str(ASSET)).open("train")
    assert [(rows[index].sample_id, rows[index].answers) for index in (0, 2, 3)] == [
        ("B00900000X-0", ("A. Poe",)),
        ("B00900000X-2", ("Cookbooks, Food & Wine",)),
        ("0009000001-0", ("B. Lee",)),
    ]
    assert rows[1].question == "What is the title of this book?"
    assert rows[1].images[0].name == "images/B00900000X.jpg"


def test_splits_are_numbers_in_the_file() -> None:
    dataset = OcrVqa(root=str(ASSET))
    assert [len(dataset.open(split)) for split in ("train", "val", "test", "train+val[2:]")] == [8, 5, 5, 11]


def test_a_cover_is_named_as_its_address_ends_or_as_a_jpg(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    dataset = OcrVqa(root=str(tmp_path / "copy"))
    (image,) = dataset.open("test")[0].images
    assert image.name == "images/0009000003.gif"
    stored = tmp_path / "copy" / "images" / "0009000003.gif"
    stored.rename(stored.with_suffix(".jpg"))
    assert len(dataset.open("test")[0].images) == 1
    stored.with_suffix(".jpg").unlink()
    with pytest.raises(BadSampleError, match=r"dataset.json: question 0009000003-0: imageURL: there is no"):
        dataset.open("test")[0]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"answers": ["one"]}, "0009000002 must have as many answers as questions"),
        ({"split": 4}, "0009000002 has split 4; it must be 1, 2 or 3"),
    ],
)
def test_a_book_of_another_form_is_refused_by_id(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    books = json.loads((ASSET / "dataset.json").read_text())
    books["0009000002"] |= change
    (tmp_path / "dataset.json").write_text(json.dumps(books))
    with pytest.raises(ValueError, match=complaint):
        OcrVqa(root=str(tmp_path)).open("train")


def test_an_empty_answer_is_refused_when_it_is_drawn(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "dataset.json"
    books = json.loads(path.read_text())
    books["0009000002"]["answers"][0] = ""
    path.write_text(json.dumps(books))
    with pytest.raises(BadSampleError, match=r"question 0009000002-0: answer: must not be empty"):
        OcrVqa(root=str(tmp_path / "copy")).open("val")[0]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no dataset.json.*OCR-VQA is to be had from https://ocr-vqa"):
        OcrVqa(root=str(tmp_path)).open("val")
    with pytest.raises(ValueError, match="there is no split 'dev'"):
        OcrVqa(root=str(ASSET)).open("dev")
