"""A tracker can neither stop a run nor hold it up."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from finetune.reporting.description import RunDescription
from finetune.reporting.exit_status import PREEMPTED
from finetune.reporting.rows import PredictionRow
from finetune.reporting.trackers import TrackedRun, Tracker

# SLURM and Kubernetes kill 30 s after their signal, of which saving has taken some.
_HURRIED_SECONDS = 10.0
_Job = Callable[[TrackedRun], None]


class GuardedRun:
    """A tracked run on a thread of its own: calls return at once, and the first error is the last thing heard of it.

    Args:
        say: Told once where the tracked run is to be found. Both may be called from the other thread.
        warn: Called at most once, with one sentence.
        patience_seconds: How long `finish` waits for what is still on its way; no longer than a scheduler that has
            asked the run to end would.
        longest_queue: So many calls may wait for a tracker that is held up before it is given up.
    """

    def __init__(
        self,
        tracker: Tracker,
        description: RunDescription,
        folder: Path,
        *,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        patience_seconds: float = 300.0,
        longest_queue: int = 10_000,
    ) -> None:
        self._say = say
        self._warn = warn
        self._patience_seconds = patience_seconds
        self._jobs: queue.Queue[_Job | None] = queue.Queue(longest_queue)
        self._given_up = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(tracker, description, folder), name="tracker", daemon=True
        )
        self._thread.start()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Hand values over."""
        self._submit(lambda run: run.log(values, step))

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Hand rows over."""
        self._submit(lambda run: run.log_predictions(rows, step))

    def log_artifact(self, folder: Path, name: str) -> None:
        """Hand a folder over; it must stay as it is until `finish` returns."""
        self._submit(lambda run: run.log_artifact(folder, name))

    def rewind(self, step: int) -> None:
        """Hand over that the run continues after `step`."""
        self._submit(lambda run: run.rewind(step))

    def finish(self, exit_code: int) -> None:
        """Close the tracked run and wait until everything has arrived, but not for ever."""
        self._submit(lambda run: run.finish(exit_code))
        self._submit(None)
        patience = min(self._patience_seconds, _HURRIED_SECONDS) if exit_code == PREEMPTED else self._patience_seconds
        self._thread.join(patience)
        if self._thread.is_alive():
            self._give_up(f"it did not finish within {patience:g} s")

    def _submit(self, job: _Job | None) -> None:
        if not self._given_up.is_set():
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                self._give_up(f"{self._jobs.maxsize} calls wait for it")

    def _work(self, tracker: Tracker, description: RunDescription, folder: Path) -> None:
        try:
            run = tracker.start(description, folder)
            if where := run.where():
                self._say(f"tracking: {where}")
            while (job := self._jobs.get()) is not None and not self._given_up.is_set():
                job(run)
        except Exception as error:
            # Nothing can be mended here, and nothing that a tracker does is worth a run.
            reason = str(error).partition("\n")[0]
            self._give_up(f"{type(error).__name__}: {reason}")

    def _give_up(self, reason: str) -> None:
        if not self._given_up.is_set():
            self._given_up.set()
            self._warn(f"tracking is off from here on, the run goes on: {reason}")
