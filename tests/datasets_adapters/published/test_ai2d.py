"""AI2D, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from datasets_adapters.published.ai2d import Ai2d
from finetune.types import BadSampleError, ImageFile, ImagePixels

ASSET = Path(__file__).parents[2] / "assets" / "published" / "ai2d"


def test_a_row_is_a_question_with_its_choices_and_the_right_one() -> None:
    sample = Ai2d(root=str(ASSET)).open("train")[0]
    assert (sample.sample_id, sample.question) == ("9.png-0", "What comes after the egg?")
    assert (sample.choices, sample.answers) == (("larva", "adult", "pupa", "moth"), ("larva",))
    assert sample.images == (ImageFile(name="ai2d/images/9.png", path=ASSET / "ai2d" / "images" / "9.png"),)


def test_letters_are_painted_where_a_question_speaks_of_them() -> None:
    (image,) = Ai2d(root=str(ASSET)).open("train")[1].images
    assert isinstance(image, ImagePixels)
    label = image.pixels[7:20, 5:24]
    assert (label == 255).all(axis=2).mean() > 0.4
    assert (label < 64).all(axis=2).any()


def test_test_diagrams_are_those_of_the_list_and_diagrams_follow_by_number() -> None:
    dataset = Ai2d(root=str(ASSET))
    train, test = dataset.open("train"), dataset.open("test")
    assert [train[index].sample_id for index in range(len(train))] == ["9.png-0", "9.png-1", "10.png-0"]
    assert [test[index].sample_id for index in range(len(test))] == ["101.png-0", "101.png-1"]
    assert len(dataset.open("train[:-1]")) == 2


def test_a_font_that_is_not_there_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match=r"dataset.font: there is no file .*DMSans-Regular.ttf"):
        Ai2d(root=str(ASSET), font="DMSans-Regular.ttf").open("train")


def test_a_diagram_is_painted_the_same_each_time() -> None:
    source = Ai2d(root=str(ASSET)).open("test")
    (first,), (second,) = source[0].images, source[0].images
    assert isinstance(first, ImagePixels)
    assert isinstance(second, ImagePixels)
    assert np.array_equal(first.pixels, second.pixels)


def test_annotations_that_cannot_be_read_refuse_their_question_alone(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "ai2d" / "annotations" / "9.png.json").write_text("{")
    source = Ai2d(root=str(tmp_path / "copy")).open("train")
    assert source[0].sample_id == "9.png-0"
    with pytest.raises(BadSampleError, match=r"question 9.png-1: abcLabel: .*9.png.json"):
        source[1]


def test_missing_files_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no ai2d_test_ids.csv.*AI2D is to be had from"):
        Ai2d(root=str(tmp_path)).open("train")
    shutil.copy(ASSET / "ai2d_test_ids.csv", tmp_path)
    with pytest.raises(ValueError, match=r"has no ai2d/questions/\*.json .*unpack ai2d-all.zip"):
        Ai2d(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'val'"):
        Ai2d(root=str(ASSET)).open("val")


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("correctAnswer", 4, "correctAnswer: must be a whole number from 0 to 3, got 4"),
        ("answerTexts", [1], r"answerTexts\[0\]: must be text"),
        ("abcLabel", "yes", "abcLabel: must be true or false"),
    ],
)
def test_a_broken_question_is_refused_by_id(tmp_path: Path, field: str, value: object, complaint: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "ai2d" / "questions" / "101.png.json"
    diagram = json.loads(path.read_text())
    diagram["questions"]["What does A show?"][field] = value
    path.write_text(json.dumps(diagram))
    with pytest.raises(BadSampleError, match=rf"ai2d/questions/101.png.json: question 101.png-0: {complaint}"):
        Ai2d(root=str(tmp_path / "copy")).open("test")[0]
