"""`finetune predict` as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from finetune import cli
from finetune.reporting.run_folder import RunFolder


def test_a_split_gives_the_texts_of_the_last_evaluation(
    trained_run: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("predict", f"run={trained_run}")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    evaluated = RunFolder(path=trained_run).read_predictions(4)
    assert [line["text"] for line in lines] == [row.text for row in evaluated]
    assert [line["id"] for line in lines] == [row.sample_id for row in evaluated]


def test_images_are_given_by_name_and_by_pattern_and_written_to_a_file(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    for name in ("a.png", "b.png", "c.jpg"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / name)
    to = tmp_path / "said.jsonl"
    finetune("predict", f"run={trained_run}", f"images=[{tmp_path}/*.png,{tmp_path}/c.jpg]", f"to={to}")
    lines = [json.loads(line) for line in to.read_text().splitlines()]
    assert [Path(line["id"]).name for line in lines] == ["a.png", "b.png", "c.jpg"]
    assert {line["prefix"] for line in lines} == {"detect circle ; square ; triangle"}


def test_all_images_that_are_given_are_read_however_many_samples_are_evaluated(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (40, 30), "red").save(tmp_path / name)
    finetune("predict", f"run={trained_run}", f"images=[{tmp_path}/*.png]", "evaluation.num_samples=2")
    assert len(capsys.readouterr().out.splitlines()) == 3
    finetune("predict", f"run={trained_run}", "evaluation.num_samples=2")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_another_prefix_can_be_asked(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    finetune("predict", f"run={trained_run}", f"images=[{tmp_path}/a.png]", "prefix='detect square'")
    assert json.loads(capsys.readouterr().out)["prefix"] == "detect square"


def test_a_folder_is_no_image_and_no_file_to_write(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["predict", f"run={trained_run}", f"images=[{tmp_path}]"]) == 2
    assert f"is a folder; give a pattern, such as 'images=[{tmp_path}/*.jpg]'" in capsys.readouterr().err
    assert cli.run(["predict", f"run={trained_run}", f"to={tmp_path}"]) == 2
    assert f"to: {tmp_path} is a folder; name a file" in capsys.readouterr().err


def test_with_several_images_in_an_example_folders_are_given(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, names in {"one": ("1.png", "2.png"), "two": ("1.png", "2.png", "3.png"), "none": ()}.items():
        (tmp_path / folder).mkdir()
        for number, name in enumerate(names):
            Image.new("RGB", (40, 30), ("red", "blue", "green")[number]).save(tmp_path / folder / name)
    finetune("predict", f"run={trained_run}", f"images=[{tmp_path}/one,{tmp_path}/tw*]", "data.num_images=2")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(line["id"]).name for line in lines] == ["one", "two"]
    assert lines[0]["text"] == lines[1]["text"], "the third image is left out"
    for given, message in {
        f"{tmp_path}/one/1.png": "is no folder; with data.num_images=2 an example is a folder of images",
        f"{tmp_path}/none": f"the folder {tmp_path}/none holds no image",
        f"{tmp_path}/nowhere": f"there is no folder {tmp_path}/nowhere",
    }.items():
        assert cli.run(["predict", f"run={trained_run}", f"images=[{given}]", "data.num_images=2"]) == 2
        assert message in capsys.readouterr().err


def test_an_image_that_is_not_there_or_is_none_is_refused_by_name(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["predict", f"run={trained_run}", "images=[nowhere.png]"]) == 2
    assert "there is no file nowhere.png" in capsys.readouterr().err
    (tmp_path / "page.jpg").write_text("<html>")
    assert cli.run(["predict", f"run={trained_run}", f"images=[{tmp_path}/page.jpg]"]) == 2
    assert "page.jpg" in capsys.readouterr().err


def test_what_is_said_is_drawn_on_the_images_and_shown_on_a_page(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (40, 30), "red").save(tmp_path / folder / "a.png")
    Image.new("RGB", (20, 50), "red").save(tmp_path / "b.png")
    drawn = tmp_path / "drawn"
    images = f"images=[{tmp_path}/*/a.png,{tmp_path}/b.png]"
    finetune("predict", f"run={trained_run}", images, f"drawings={drawn}", f"to={tmp_path}/said.jsonl")
    assert f"drawings: {drawn}/index.html" in capsys.readouterr().err
    names = sorted(path.name for path in drawn.iterdir())
    assert names[-2:] == ["b.jpg", "index.html"], "the two that are called a are named by their whole path"
    assert len(names) == 4
    with Image.open(drawn / "b.jpg") as picture:
        assert picture.size == (20, 50)
    assert (drawn / "index.html").read_text().count("<article") == 3
