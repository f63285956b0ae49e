"""A run's folder belongs to one training at a time."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from finetune import cli
from finetune.commands.run_lock import LOCK_FILE, locked

from .conftest import SMALL

HOLDER = """
import sys, time
from pathlib import Path
from finetune.commands.run_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_one_is_refused_with_who_holds_it_and_let_in_afterwards(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        holder = f"is being trained in by process {os.getpid()} on {socket.gethostname()};"
        with pytest.raises(ValueError, match=holder), locked(tmp_path / "run"):
            pass
        with locked(tmp_path / "another"):
            pass
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK_FILE).read_text().count("\n") == 1


def test_an_error_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_killed_process_holds_nothing(tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"process {holder.pid} on"), locked(tmp_path):
            pass
        holder.kill()
    with locked(tmp_path):
        pass


def test_a_disk_that_cannot_lock_is_told_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(file: object, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path):
        assert "cannot lock files; do not start this run twice" in capsys.readouterr().err


def test_other_errors_are_not_taken_for_a_disk_that_cannot_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: object, operation: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match="Input/output"), locked(tmp_path):
        pass


def test_the_same_training_started_twice_leaves_the_first_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with locked(tmp_path / "cells"):
        assert cli.run(["train", f"runs={tmp_path}", "name=cells", *SMALL]) == 2
        assert f"is being trained in by process {os.getpid()} on" in capsys.readouterr().err
        assert [path.name for path in (tmp_path / "cells").iterdir()] == [LOCK_FILE]


@pytest.mark.parametrize("name", ["lock", "metrics.jsonl"])
def test_a_file_that_leads_out_of_the_folder_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious.txt"
    run.mkdir()
    precious.write_text("precious")
    (run / name).symlink_to(precious)
    with pytest.raises(ValueError, match=f"{name} is a link out of the run's folder"), locked(run):
        pass
    assert precious.read_text() == "precious"


def test_checkpoints_may_lie_on_another_disk_and_links_stay_inside(tmp_path: Path) -> None:
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for folder in (run, elsewhere):
        folder.mkdir()
    (run / "checkpoints").symlink_to(elsewhere)
    (run / "notes.txt").write_text("mine")
    (run / "latest.txt").symlink_to("notes.txt")
    with locked(run):
        assert (run / "lock").is_file()
