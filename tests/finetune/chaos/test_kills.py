"""Random kills of a training that is right hold, and of one that is wrong in any way do not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOY = Path(__file__).parent / "toy_run.py"


def killed(folder: Path, wrong: str, repository: Path) -> dict[str, Any]:
    # A process of its own, because that of the tests has threads.
    command = [sys.executable, str(TOY), str(folder), wrong]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    promise: dict[str, Any] = json.loads(done.stdout)
    return promise


def test_a_training_that_continues_exactly_survives_every_kill(tmp_path: Path, repository: Path) -> None:
    promise = killed(tmp_path, "nothing", repository)
    assert (promise["tried"], promise["held"], promise["problems"]) == (12, 12, [])
    assert "0 of" in promise["worst"]
    assert "0 torn" in promise["worst"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("loss", "values: loss"),
        ("order", "values: loss"),
        ("forgets", "values"),
        ("weight", "tensor: 1 differ"),
    ],
)
def test_a_training_that_does_not_is_found_out(wrong: str, said: str, tmp_path: Path, repository: Path) -> None:
    promise = killed(tmp_path, wrong, repository)
    assert promise["held"] < promise["tried"]
    assert any(said in problem for problem in promise["problems"]), promise["problems"]


def test_a_torn_checkpoint_is_counted(tmp_path: Path, repository: Path) -> None:
    promise = killed(tmp_path, "torn", repository)
    assert "0 torn" not in promise["worst"]
    assert any("FileNotFoundError" in problem or "not what was written" in problem for problem in promise["problems"])
