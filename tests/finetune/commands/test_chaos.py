"""A short `finetune chaos` as it is typed, in a process of its own: that of the tests has threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune import cli


def chaos(repository: Path, runs: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "finetune", "chaos", f"runs={runs}", "brief=true", *words]
    return subprocess.run(
        command, cwd=repository, env=os.environ, capture_output=True, text=True, timeout=900, check=False
    )


def test_random_kills_and_one_at_every_moment_of_a_save_change_nothing(tmp_path: Path, repository: Path) -> None:
    done = chaos(repository, tmp_path, "faults=[kills,save_points]", "kills=6", "name=short")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "chaos" / "short.json").read_text())
    assert found["kept"]
    by_fault = {promise["fault"]: promise for promise in found["promises"]}
    assert list(by_fault) == ["none", "kills", "save_points"]
    assert by_fault["kills"]["tried"] == by_fault["kills"]["held"] == 6
    assert by_fault["save_points"]["tried"] == by_fault["save_points"]["held"] > 30
    assert "Promises" in done.stdout
    assert "a tiny model with random weights stands in for" in done.stderr
    assert [path.name for path in (tmp_path / "chaos").iterdir()] == ["short.json"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kills=0"], "kills must be at least 1"),
        (["faults=[kill]"], "kills"),
        (["faults=[]"], "faults must name at least one"),
        (["dataset=jsonl", "dataset.root=/nowhere"], "/nowhere"),
        (["peft=none", "freeze={image_encoder: true, connector: true, embeddings: true, decoder: true}"], "freeze"),
    ],
)
def test_mistakes_are_refused_before_anything_is_started(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["chaos", f"runs={tmp_path}", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "chaos").exists()
