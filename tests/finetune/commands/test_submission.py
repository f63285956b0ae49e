"""`finetune predict submission=...` as it is typed, on a data set in its authors' own format."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli


@pytest.fixture
def questions(repository: Path) -> list[str]:
    """The words that name VQAv2's asset, and a model that answers at once."""
    root = repository / "tests" / "assets" / "published" / "vqav2"
    small = ["model=tiny", "model.image_size=28", "evaluation.max_new_tokens=2"]
    return ["recipe=vqa", "dataset=vqav2", f"dataset.root={root}", "split=test", *small]


def test_the_servers_file_holds_every_question_by_its_own_id_and_the_text_as_it_was_said(
    questions: list[str], tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("predict", *questions)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    path = tmp_path / "answers.json"
    finetune("predict", *questions, f"submission={path}")
    printed = capsys.readouterr().out
    assert printed == f"2 answers: {path}, for https://eval.ai/web/challenges/challenge-page/830\n"
    assert json.loads(path.read_text()) == [{"question_id": int(line["id"]), "answer": line["text"]} for line in lines]


def test_lines_are_written_as_well_where_they_are_wanted(
    questions: list[str], tmp_path: Path, finetune: Callable[..., None]
) -> None:
    finetune("predict", *questions, f"submission={tmp_path}/a.json", f"to={tmp_path}/a.jsonl")
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == len(json.loads((tmp_path / "a.json").read_text()))


def test_a_part_of_a_split_a_mixture_and_a_data_set_without_a_server_are_refused(
    questions: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "answers.json"
    for words, message in {
        (*questions, "evaluation.num_samples=1"): "evaluation.num_samples=1 would answer 1 of 2 samples",
        ("dataset=scenes", "recipe=vqa"): "submission: Scenes names no server",
        ("dataset=scenes", "recipe=mixture"): "recipe=mixture has parts, each for another server",
    }.items():
        assert cli.run(["predict", *words, f"submission={path}"]) == 2
        assert message in capsys.readouterr().err
    assert cli.run(["predict", *questions, f"submission={tmp_path}"]) == 2
    assert f"submission: {tmp_path} is a folder; name a file" in capsys.readouterr().err
    assert not path.exists()


def test_what_cannot_be_read_stops_the_command_or_is_told_with_its_number(
    questions: list[str], repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asset = repository / "tests" / "assets" / "published" / "vqav2"
    for file in asset.glob("*test2015*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    images = sorted((asset / "test2015").iterdir())
    (tmp_path / "test2015").mkdir()
    for image in images:
        (tmp_path / "test2015" / image.name).write_bytes(image.read_bytes() if image is not images[0] else b"no image")
    path = tmp_path / "answers.json"
    words = [word for word in questions if not word.startswith("dataset.root")]
    command = ["predict", *words, f"dataset.root={tmp_path}", f"submission={path}"]
    assert cli.run(command) == 2
    assert not path.exists()
    capsys.readouterr()
    assert cli.run([*command, "data.on_bad_sample=skip"]) == 0
    skipped = 2 - len(json.loads(path.read_text()))
    assert skipped > 0
    assert f"skipped and missing from {path}" in capsys.readouterr().err
