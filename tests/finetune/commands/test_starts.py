"""A run that is started again and again without getting anywhere is not started once more."""

from pathlib import Path

import pytest

from finetune.commands.starts import count_start
from finetune.engine.stops import NoProgressError
from finetune.reporting.exit_status import ExitStatus, forget_exit_status, write_exit_status


def end(folder: Path, code: int) -> None:
    write_exit_status(folder, ExitStatus(code=code, step=None, message=""))


def test_three_restarts_that_save_nothing_are_enough(tmp_path: Path) -> None:
    for _ in range(4):
        count_start(tmp_path, 100, max_restarts=3)
    for _ in range(2):
        with pytest.raises(NoProgressError, match=r"started 4 times since the checkpoint of step 100 .*max_restarts=4"):
            count_start(tmp_path, 100, max_restarts=3)
        # The refusal itself ends with the code of a mistake.
        end(tmp_path, NoProgressError.exit_code)
    count_start(tmp_path, 100, max_restarts=4)


def test_a_new_checkpoint_makes_up_for_all_of_them(tmp_path: Path) -> None:
    for step in (-1, 100, 200):
        for _ in range(4):
            count_start(tmp_path, step, max_restarts=3)
    with pytest.raises(NoProgressError, match="since the checkpoint of step 200"):
        count_start(tmp_path, 200, max_restarts=3)


def test_a_run_that_never_saved_anything_is_told_so(tmp_path: Path) -> None:
    count_start(tmp_path, -1, max_restarts=0)
    with pytest.raises(NoProgressError, match="started 1 times since it began"):
        count_start(tmp_path, -1, max_restarts=0)


@pytest.mark.parametrize("code", [0, 2, 130])
def test_what_people_end_or_must_mend_is_not_held_against_a_run(tmp_path: Path, code: int) -> None:
    for _ in range(9):
        count_start(tmp_path, 100, max_restarts=3)
        end(tmp_path, code)


@pytest.mark.parametrize("code", [1, 3, 4, 5, 75, None])
def test_every_other_end_is(tmp_path: Path, code: int | None) -> None:
    for _ in range(4):
        count_start(tmp_path, 100, max_restarts=3)
        if code is not None:
            end(tmp_path, code)
    with pytest.raises(NoProgressError):
        count_start(tmp_path, 100, max_restarts=3)
    forget_exit_status(tmp_path)
    count_start(tmp_path, 100, max_restarts=None)
