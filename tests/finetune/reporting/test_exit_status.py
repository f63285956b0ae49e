"""How a run ended, as another program reads it."""

import json
from pathlib import Path

import pytest

from finetune.engine import stops
from finetune.reporting.exit_status import (
    EXIT_STATUS_FILE,
    ExitStatus,
    forget_exit_status,
    read_exit_status,
    write_exit_status,
)


def test_a_status_comes_back_and_says_kind_code_step_and_message(tmp_path: Path) -> None:
    status = ExitStatus(code=75, step=1200, message="saved, please start again")
    write_exit_status(tmp_path, status)
    assert read_exit_status(tmp_path) == status
    assert json.loads((tmp_path / EXIT_STATUS_FILE).read_text(encoding="utf-8")) == {
        "kind": "preempted",
        "code": 75,
        "step": 1200,
        "message": "saved, please start again",
    }


def test_a_run_that_goes_on_has_no_status(tmp_path: Path) -> None:
    assert read_exit_status(tmp_path) is None
    forget_exit_status(tmp_path)
    write_exit_status(tmp_path, ExitStatus(code=0, step=4, message="finished"))
    forget_exit_status(tmp_path)
    assert read_exit_status(tmp_path) is None


@pytest.mark.parametrize("kind", stops.RunStoppedError.__subclasses__())
def test_every_way_to_stop_has_a_kind(kind: type[stops.RunStoppedError]) -> None:
    assert ExitStatus(code=kind.exit_code, step=None, message="").kind != "other"
