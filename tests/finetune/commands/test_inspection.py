"""`finetune inspect` as it is typed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli

from .conftest import SMALL


def test_the_page_is_written_and_the_summary_counts_what_is_bad(
    tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "look.html"
    finetune("inspect", "recipe=captioning", f"to={to}", "num_shown=24", "data.max_text_tokens=9", *SMALL)
    printed = capsys.readouterr().out
    assert printed.startswith("24 samples: ")
    assert "[too-long]" in printed
    assert to.read_text().count("caption en") >= 3


def test_what_the_source_repaired_is_counted(
    repaired_dataset: list[str], tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("inspect", f"to={tmp_path}/look.html", *repaired_dataset)
    assert "1 x boxes clipped to the image" in capsys.readouterr().out
    assert "<td>boxes clipped to the image</td><td>1</td>" in (tmp_path / "look.html").read_text()


def test_a_mixture_gets_a_page_for_each_part(tmp_path: Path, finetune: Callable[..., None]) -> None:
    finetune("inspect", "recipe=mixture", f"to={tmp_path}/look.html", "num_shown=1", *SMALL)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"look-{part}.html" for part in ("captions", "questions", "words", "shapes", "masks")
    }


def test_a_published_data_set_is_held_to_its_card(
    repository: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    root = repository / "tests" / "assets" / "published" / "vqav2"
    to = tmp_path / "look.html"
    finetune("inspect", "recipe=vqa", "dataset=vqav2", f"dataset.root={root}", f"to={to}", "model=tiny")
    printed = capsys.readouterr().out
    assert printed.startswith("VQAv2: https://visualqa.org/download.html (annotations CC BY 4.0, ")
    assert "\n  train: 3 rows: 443,754 fewer than published (https://visualqa.org/download.html)\n" in printed
    assert "<td>443,754 fewer than published</td>" in to.read_text()


def test_what_to_download_is_said_where_no_folder_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["inspect", "experiment=vqav2", "model=tiny"]) == 2
    told = capsys.readouterr().err
    assert "dataset.root must be given: folder with v2_OpenEnded_mscoco_*_questions.json, " in told
    assert "VQAv2 is to be had from https://visualqa.org/download.html (annotations CC BY 4.0, " in told
    assert "train_split" not in told
