import io
import json
import pickle
import shutil
from pathlib import Path

import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest
from PIL import Image

from datasets_adapters.published.countbenchqa import CountBenchQa
from finetune.types import BadSampleError, ImageBytes

ASSET = Path(__file__).parents[2] / "assets" / "published" / "countbenchqa"
PICTURES = "train-00000-of-00001-cf54c241ba947306.parquet"
QUESTIONS = "countbench_paired_questions.json"


def test_a_number_is_the_answer_to_the_question_of_its_row() -> None:
    source = CountBenchQa(root=str(ASSET)).open("test")
    assert source[1].question == "How many boxes are there in the image?"
    assert [source[index].answers for index in range(3)] == [("2",), ("4",), ("6",)]


def test_rows_without_a_picture_or_without_colours_are_left_out() -> None:
    source = CountBenchQa(root=str(ASSET)).open("test")
    assert [source[index].sample_id for index in range(len(source))] == ["0", "2", "4"]


def test_pictures_are_the_files_own_bytes() -> None:
    (image,) = CountBenchQa(root=str(ASSET)).open("test")[2].images
    assert isinstance(image, ImageBytes)
    assert Image.open(io.BytesIO(image.data)).size == (64, 48)
    assert image.name == f"{PICTURES}: row 4"


def test_a_source_goes_to_the_loaders_processes() -> None:
    source = CountBenchQa(root=str(ASSET)).open("test")
    assert pickle.loads(pickle.dumps(source))[2] == source[2]


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no split 'train'"):
        CountBenchQa(root=str(ASSET)).open("train")


@pytest.mark.parametrize(("name", "said"), [(PICTURES, f"{PICTURES} or data/{PICTURES}"), (QUESTIONS, QUESTIONS)])
def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path, name: str, said: str) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    (root / name).unlink()
    with pytest.raises(ValueError, match=f"has no {said} .*huggingface.co/datasets/nielsr/countbench"):
        CountBenchQa(root=str(root)).open("test")


def test_questions_for_other_pictures_are_refused_at_once(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    (root / QUESTIONS).write_text('[{"question": "How many?"}]')
    with pytest.raises(ValueError, match=r"has 1 questions, .* has 5 rows"):
        CountBenchQa(root=str(root)).open("test")


def test_another_file_in_place_of_the_pictures_is_refused_at_once(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    (root / PICTURES).write_text("no parquet")
    with pytest.raises(ValueError, match="is no parquet file with number and image"):
        CountBenchQa(root=str(root)).open("test")


def test_a_picture_that_cannot_be_read_is_kept_to_be_refused_when_it_is_drawn(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    table = parquet.read_table(root / PICTURES)
    rows = table.to_pylist()
    rows[0]["image"]["bytes"] = b"no picture"
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=table.schema), root / PICTURES)
    source = CountBenchQa(root=str(root)).open("test")
    (image,) = source[0].images
    assert (len(source), image.name) == (3, f"{PICTURES}: row 0")


def test_a_broken_row_is_refused_by_file_and_row_and_no_other(tmp_path: Path) -> None:
    root = shutil.copytree(ASSET, tmp_path / "copy")
    questions = json.loads((root / QUESTIONS).read_text())
    (root / QUESTIONS).write_text(json.dumps([{"question": ""}, *questions[1:]]))
    source = CountBenchQa(root=str(root)).open("test")
    with pytest.raises(BadSampleError, match=f"{PICTURES}: row 0: question"):
        source[0]
    assert source[1].answers == ("4",)
