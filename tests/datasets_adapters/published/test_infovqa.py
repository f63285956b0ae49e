"""InfographicVQA, on rows made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.infovqa import InfoVqa
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "infovqa"


def test_a_row_is_a_question_with_its_answers_as_written() -> None:
    sample = InfoVqa(root=str(ASSET)).open("train")[0]
    assert (sample.public_id, sample.answers) == (91001, ("Letters", "letters"))
    assert [image.name for image in sample.images] == ["infographicsvqa_images/90001.jpeg"]


def test_a_list_counts_in_any_order_in_val_alone(tmp_path: Path) -> None:
    dataset = InfoVqa(root=str(ASSET))
    assert dataset.open("val")[0].answers == ("Rye, Deal", "Deal, Rye")
    assert dataset.open("val")[1].answers == ("Rent", "the rent")
    source = _with_answers(tmp_path, "train", ["Rye, Deal"])
    assert source.open("train")[0].answers == ("Rye, Deal",)


def test_a_list_has_as_many_orders_as_its_length_allows_until_they_would_fill_the_memory(tmp_path: Path) -> None:
    dataset = _with_answers(tmp_path, "val", ["a, b, c", ", ".join("abcdefgh")])
    answers = dataset.open("val")[0].answers
    assert answers[:6] == ("a, b, c", "a, c, b", "b, a, c", "b, c, a", "c, a, b", "c, b, a")
    assert answers[6:] == (", ".join("abcdefgh"),)


def test_test_questions_have_no_answers() -> None:
    rows = InfoVqa(root=str(ASSET)).open("test")
    assert [(rows[index].public_id, rows[index].answers) for index in range(len(rows))] == [(93001, ()), (93002, ())]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no infographicsvqa_qas/infographicsVQA_test_v1.0.json.*to be had from"):
        InfoVqa(root=str(tmp_path)).open("test")
    with pytest.raises(ValueError, match="there is no split 'dev'"):
        InfoVqa(root=str(ASSET)).open("dev")


def test_a_row_without_its_image_is_refused_by_file_and_id(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / "infographicsvqa_images" / "90002.jpeg").unlink()
    with pytest.raises(BadSampleError, match=r"train_v1.0.json: question 91003: image_local_name: there is no"):
        InfoVqa(root=str(tmp_path / "copy")).open("train")[2]


def _with_answers(folder: Path, split: str, answers: list[str]) -> InfoVqa:
    shutil.copytree(ASSET, folder / "copy")
    (path,) = (folder / "copy" / "infographicsvqa_qas").glob(f"*_{split}_*.json")
    content = json.loads(path.read_text())
    content["data"][0]["answers"] = answers
    path.write_text(json.dumps(content))
    return InfoVqa(root=str(folder / "copy"))
