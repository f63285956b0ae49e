"""How the end of a queued job is seen, and when it is queued again; submitit and SLURM themselves: tests/cluster."""

import copy
import signal
import subprocess

import pytest

from finetune.config import queued
from finetune.config.queued import QueuedJobError, read_queue, run_queued

QUEUE = "41|N/A|41|RUNNING|n1\n42|0|43|FAILED|n2\n42|1|42|PENDING|\n"


def test_jobs_and_tasks_of_arrays_are_found_by_their_own_names() -> None:
    states = {job: info["State"] for job, info in read_queue(QUEUE).items()}
    assert states == {"41": "RUNNING", "42_0": "FAILED", "42_1": "PENDING"}


def test_a_failed_job_says_so_to_the_sweep_that_waits_for_it() -> None:
    with pytest.raises(QueuedJobError, match=r"job 3: seed=1 failed with exit code 4") as raised:
        run_queued("job 3: seed=1", lambda: 4)
    travelled = copy.copy(raised.value)
    assert (str(travelled), travelled.exit_code) == (str(raised.value), 4)


@pytest.mark.parametrize(("state", "is_queued_again"), [("RUNNING\n", True), ("COMPLETING\n", False), ("", False)])
def test_a_job_is_queued_again_unless_it_was_cancelled(
    state: str, is_queued_again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[int] = []
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_ID", "43")
    monkeypatch.setattr(queued.signal, "raise_signal", raised.append)
    answer = subprocess.CompletedProcess([], 0, stdout=state, stderr="")
    monkeypatch.setattr(queued.subprocess, "run", lambda *_, **__: answer)
    assert run_queued("job 0", lambda: 75) == 75
    assert raised == [signal.SIGUSR2] * is_queued_again


def test_a_job_that_is_done_is_not_queued_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    assert run_queued("job 0", lambda: 0) == 0
