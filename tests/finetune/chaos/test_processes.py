"""A forked process ends with the code that the command line would, and none outlives the one that forked it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "forking.py"


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, Any]:
    """What a process without threads found."""
    command = [sys.executable, str(SCRIPT), str(tmp_path_factory.mktemp("logs"))]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_end_has_the_command_lines_exit_code(findings: dict[str, Any]) -> None:
    assert findings["codes"] == {
        "fine": 0, "bug": 1, "mistake": 2, "own": 4, "interrupted": 130, "terminated": -15,
    }  # fmt: skip


def test_what_it_says_goes_to_its_log(findings: dict[str, Any]) -> None:
    assert findings["said"] == "said fine\n"
    assert findings["last_words"]["mistake"] == "finetune train: batch must be at least 1"
    assert findings["last_words"]["bug"] == "RuntimeError: broken"
    assert findings["last_words"]["terminated"] == "nothing"
    assert findings["bug_has_traceback"]
    assert findings["mistake_has_none"]


def test_a_process_is_killed_once_and_left_ones_with_the_others(findings: dict[str, Any]) -> None:
    assert findings["still_running"]
    assert findings["killed"] == findings["killed_again"] == -9
    assert findings["ended_with_the_others"]


def test_the_forking_process_has_one_thread_and_keeps_its_environment(findings: dict[str, Any]) -> None:
    assert findings["threads"] == 1
    assert findings["environment_is_untouched"]
