"""The jobs of a sweep in a queue (hydra/launcher=slurm): their ranks, their pre-emption, and how their ends are seen.

A job that is asked to end, because its time is up or its place is wanted, saves at its next step and is queued again
by submitit; there it finds its checkpoint.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from finetune.engine.stops import PreemptedError, RunStoppedError

# States in which SLURM will not run a job any more; GONE: it has forgotten the job, which takes minutes after its end.
_GONE = "GONE"
_ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "TIMEOUT", _GONE}
)
_SECONDS_BETWEEN_LOOKS = 30
_PREEMPTED = PreemptedError.exit_code


class QueuedJobError(RunStoppedError):
    """A job of a sweep failed where it ran; its own message is in its log."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def __reduce__(self) -> tuple[Any, ...]:
        # It travels from the job to the sweep.
        return type(self), (str(self), self.exit_code)


def run_queued(title: str, run: Callable[[], int]) -> int:
    """Run one job where the queue has put it.

    Returns:
        The exit code: 0, or one that asks for an end of the process.

    Raises:
        QueuedJobError: If the job failed: the process that waits for the sweep hears of it.
    """
    connect_tasks()
    code = run()
    if code == _PREEMPTED and _is_wanted_again():
        # Handled by submitit again, now that training is over: it queues the job once more and ends this process.
        signal.raise_signal(getattr(signal, f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"))
    if code not in (0, _PREEMPTED):
        raise QueuedJobError(f"{title} failed with exit code {code}; its log says why", code)
    return code


def _is_wanted_again() -> bool:
    """Whether SLURM only asked this job to make room. One that was cancelled is running no more in its eyes."""
    if os.environ.get("SUBMITIT_EXECUTOR") != "slurm":
        return False
    asked = ["squeue", "--noheader", f"--jobs={os.environ['SLURM_JOB_ID']}", "--format=%T"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip() == "RUNNING"


def connect_tasks() -> None:
    """Make the tasks of one submitted job the ranks of one run, as a launcher would."""
    if int(os.environ.get("SLURM_NTASKS") or 1) > 1:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export()


@contextmanager
def watched_queue() -> Iterator[None]:
    """See every end of a job inside the block, also of one that was killed, and on clusters that keep no accounts.

    submitit asks `sacct`, which knows nothing where accounting is off: it would wait for a killed job for ever.

    Raises:
        ValueError: If there is no SLURM here, or the launcher is not installed.
        QueuedJobError: If a job ended without a result.
    """
    try:
        from submitit.core.utils import FailedJobError, UncompletedJobError
        from submitit.slurm.slurm import SlurmInfoWatcher, SlurmJob
    except ImportError as error:
        raise ValueError("hydra/launcher needs submitit: pip install 'paligemma-finetune[slurm]'") from error

    class QueueWatcher(SlurmInfoWatcher):
        """Asks `squeue`, which lists also what has ended in the last minutes."""

        def _make_command(self) -> list[str] | None:
            if self._registered <= self._finished:
                return None
            return ["squeue", "--me", "--states=all", "--array", "--noheader", "--format=%F|%K|%i|%T|%N"]

        def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
            text = string.decode() if isinstance(string, bytes) else string
            listed = read_queue(text)
            return {job: listed.get(job, {"State": _GONE, "NodeList": ""}) for job in self._registered}

        def is_done(self, job_id: str, mode: str = "standard") -> bool:
            return self.get_state(job_id, mode=mode) in _ENDED

    before = SlurmJob.watcher
    SlurmJob.watcher = QueueWatcher(delay_s=_SECONDS_BETWEEN_LOOKS)
    try:
        yield
    except (UncompletedJobError, FailedJobError) as error:
        told = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise QueuedJobError(
            f"a job of the sweep ended without a result: {told}\nOthers may still run (squeue --me); after them, the "
            "same command again runs what is missing",
            exit_code=1,
        ) from error
    except RuntimeError as error:
        if "srun" not in str(error):
            raise
        raise ValueError("hydra/launcher=slurm: there is no srun here; submit from a machine of the cluster") from error
    finally:
        SlurmJob.watcher = before


def read_queue(text: str) -> dict[str, dict[str, str]]:
    """Read squeue's lines "array|index|job|state|nodes" into submitit's form, by job or `<array>_<index>`."""
    listed = {}
    for line in text.splitlines():
        array, index, job, state, nodes = line.strip().split("|")
        name = f"{array}_{index}" if index.isdecimal() else job
        listed[name] = {"JobID": name, "State": state, "NodeList": nodes}
    return listed
