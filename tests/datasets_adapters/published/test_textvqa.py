"""TextVQA, on rows made up for this test, in the authors' format."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets_adapters.published.textvqa import TextVqa
from finetune.types import BadSampleError, ImageFile, ImagePixels

ASSET = Path(__file__).parents[2] / "assets" / "published" / "textvqa"


def test_a_row_is_a_question_with_its_ten_answers() -> None:
    sample = TextVqa(root=str(ASSET)).open("train")[0]
    assert (sample.public_id, sample.question, len(sample.answers)) == (0, "What is the brand?", 10)
    assert sample.images == (
        ImageFile(name="train_images/00a0000000000001.jpg", path=ASSET / "train_images" / "00a0000000000001.jpg"),
    )


@pytest.mark.parametrize(
    ("split", "name", "quarters"), [("train", "00a0000000000002", 1), ("val", "00a0000000000004", 3)]
)
def test_an_image_that_lies_on_its_side_is_turned_to_the_left_by_its_angle(
    split: str, name: str, quarters: int
) -> None:
    (image,) = TextVqa(root=str(ASSET)).open(split)[1].images
    with Image.open(ASSET / "train_images" / f"{name}.jpg") as stored:
        expected = np.rot90(np.asarray(stored.convert("RGB")), quarters)
    assert isinstance(image, ImagePixels)
    assert image.pixels.shape == (64, 48, 3)
    # A decoder may differ by a level.
    assert np.abs(image.pixels.astype(int) - expected.astype(int)).max() <= 4


def test_images_stay_as_they_are_where_that_is_wanted(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "train_images" / "rotation.csv").unlink()
    with pytest.raises(ValueError, match=r"rotation.csv: save https://storage.*dataset.turn_upright=false"):
        TextVqa(root=str(tmp_path / "copy")).open("train")
    dataset = TextVqa(root=str(tmp_path / "copy"), turn_upright=False)
    assert isinstance(dataset.open("train")[1].images[0], ImageFile)


@pytest.mark.parametrize("angle", ["45.0", "ninety", "90.5"])
def test_an_angle_between_two_quarters_is_refused(tmp_path: Path, angle: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "train_images" / "rotation.csv"
    path.write_text(path.read_text().replace("90.0", angle))
    with pytest.raises(ValueError, match=rf"00a0000000000002 is rotated by {angle} degrees"):
        TextVqa(root=str(tmp_path / "copy")).open("train")


def test_test_questions_have_no_answers_and_images_of_their_own() -> None:
    rows = TextVqa(root=str(ASSET)).open("test")
    assert [(rows[index].public_id, rows[index].answers) for index in range(len(rows))] == [(39602, ()), (39603, ())]
    assert rows[0].images[0].name == "test_images/00a0000000000005.jpg"


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no TextVQA_0.5.1_val.json.*to be had from https://textvqa.org"):
        TextVqa(root=str(tmp_path)).open("val")
    with pytest.raises(ValueError, match="there is no split 'dev'"):
        TextVqa(root=str(ASSET)).open("dev")


def test_a_row_without_its_image_is_refused_by_file_and_id(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "train_images" / "00a0000000000001.jpg").unlink()
    with pytest.raises(BadSampleError, match=r"TextVQA_0.5.1_train.json: question 0: image_id: there is no"):
        TextVqa(root=str(tmp_path / "copy")).open("train")[0]
