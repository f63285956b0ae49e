"""When checkpoints are written: while training waits, or beside it.

Beside it, training waits only for a copy of its state in the host's memory; a thread then writes that by the same
protocol. One save is in flight at most: the next one and the end of the run wait for it, and its error stops the run at
the next step. The last save of a run, and one that a signal asks for, are always waited for.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict

from torch import Tensor

from finetune.engine.capture import Captured, capture
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.counters import Counters
from finetune.engine.disk import mebibytes
from finetune.engine.identity import Identity
from finetune.engine.snapshot import Snapshot, read_state
from finetune.engine.step import Learner
from finetune.engine.stops import DiskError
from finetune.reporting.reporter import Reporter
from finetune.settings import CheckpointSettings, OnSaveError

# Adapters are on the disk before a thread would pay; a whole model and its optimizer are not.
_LARGE_BYTES = 1 << 30


class Saver:
    """The saves of one run, in order. All ranks call all methods together, except `has_failed` and `close`.

    Args:
        store: Used on the main rank alone.
        identity: Written into every checkpoint.
    """

    def __init__(
        self,
        store: CheckpointStore,
        learner: Learner,
        reporter: Reporter,
        identity: Identity,
        settings: CheckpointSettings,
    ) -> None:
        self._store = store
        self._learner = learner
        self._reporter = reporter
        self._identity = identity
        self._settings = settings
        self._known = Counters()
        self._is_on_disk = False
        self._num_bytes = _expected_bytes(learner)
        self._in_flight: _Background | None = None

    def continue_from(self, counters: Counters, num_bytes: int) -> None:
        """Take note of what the checkpoint holds that the run was resumed from, and how large its tensors are."""
        self._known, self._is_on_disk, self._num_bytes = counters, True, num_bytes

    def require_room(self, *, keeps_best: bool) -> None:
        """Refuse to train what could not be saved: for each checkpoint that is kept, and the next one, there is room.

        Raises:
            DiskError: If there is not, or nothing can be written there, unless `checkpoint.on_save_error` is to go on.
        """
        num_kept = self._settings.keep_last + 1 + keeps_best
        self._attempt(lambda: self._store.require_room(num_kept, self._num_bytes), is_last=False)

    def save(self, counters: Counters, *, is_last: bool) -> None:
        """Commit what changed since the last save.

        Where no step was done in between, as after an evaluation, the tensors stay where they are.

        Args:
            is_last: Whether the run ends with it: then it is on the disk when this returns, and must be.

        Raises:
            DiskError: If it, or the one before, could not be written and `checkpoint.on_save_error` or `is_last`
                makes that an error.
        """
        if counters == self._known and not is_last:
            return
        started = time.monotonic()
        self.settle()
        if counters == self._known:
            return
        if self._is_on_disk and self._known.step == counters.step:
            done = self._attempt(lambda: self._restate(counters), is_last=is_last)
        else:
            captured = capture(self._learner)
            done = self._attempt(lambda: self._begin(counters, captured, started, is_last), is_last=is_last)
        if done:
            self._known, self._is_on_disk = counters, True

    def settle(self) -> None:
        """Wait for the save in flight, if there is one.

        Raises:
            DiskError: If it failed, unless `checkpoint.on_save_error` is to go on.
        """
        if not self._attempt(self._join, is_last=False):
            # The next save must not take it for granted.
            self._known, self._is_on_disk = Counters(), False

    def has_failed(self) -> bool:
        """Whether the save in flight has ended in an error, as far as this rank knows."""
        return self._in_flight is not None and self._in_flight.has_failed

    def close(self) -> None:
        """Let the save in flight come to its end on the way out of a run whose own error is the one to tell."""
        if self._in_flight is not None:
            self._in_flight.wait()

    def _attempt(self, action: Callable[[], None], *, is_last: bool) -> bool:
        """Do something on the main rank; return whether the disk let it, or raise on all ranks."""
        try:
            self._learner.ranks.on_main(action)
        except DiskError as error:
            if is_last or self._settings.on_save_error is OnSaveError.stop:
                raise
            self._reporter.warn(f"a checkpoint was not saved, the run goes on (checkpoint.on_save_error): {error}")
            return False
        return True

    def _join(self) -> None:
        in_flight, self._in_flight = self._in_flight, None
        if in_flight is not None:
            in_flight.result()

    def _begin(self, counters: Counters, captured: Captured, started: float, is_last: bool) -> None:
        snapshot = self._snapshot(counters, captured)
        wanted = self._settings.asynchronous
        is_large = snapshot.num_bytes > _LARGE_BYTES
        if is_last or not (is_large if wanted is None else wanted):
            self._store.save(snapshot)
            self._tell(snapshot, started, waited=None)
            return
        waited = time.monotonic() - started

        def write() -> None:
            self._store.save(snapshot)
            self._tell(snapshot, started, waited=waited)

        self._in_flight = _Background(write)

    def _restate(self, counters: Counters) -> None:
        state = read_state(self._store.path(counters.step))
        self._store.restate(counters.step, counters.best_step, {**state, **self._own_state(counters)})

    def _snapshot(self, counters: Counters, captured: Captured) -> Snapshot:
        names, trained = set(captured.values["parameters"]), set(captured.trained)
        assert names == trained, f"the optimizer and the model train other parameters: {sorted(names ^ trained)}"
        return Snapshot(
            step=counters.step,
            best_step=counters.best_step,
            trained=captured.trained,
            optimizer=captured.optimizer,
            state={**self._own_state(counters), "optimizer": captured.values, "scaler": captured.scaler},
        )

    def _own_state(self, counters: Counters) -> dict[str, object]:
        return {"identity": self._identity.sha256, "counters": asdict(counters)}

    def _tell(self, snapshot: Snapshot, started: float, *, waited: float | None) -> None:
        seconds = time.monotonic() - started
        stall = "" if waited is None else f" beside training, which waited {waited:.2f} s"
        size = mebibytes(snapshot.num_bytes)
        self._reporter.say(f"checkpoint: step {snapshot.step}, {size}, saved in {seconds:.2f} s{stall}")


def _expected_bytes(learner: Learner) -> int:
    """Estimate a checkpoint before there is one: the parameters that train, with the two moments of most optimizers."""
    parameters: list[Tensor] = [parameter for group in learner.optimizer.param_groups for parameter in group["params"]]
    return 3 * sum(parameter.nbytes for parameter in parameters)


class _Background:
    """Something that a thread does, and how that ended."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._error: Exception | None = None
        # A daemon, so that a second Ctrl-C ends the process although it is writing.
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    @property
    def has_failed(self) -> bool:
        """Whether it has ended, and badly."""
        return self._error is not None

    def wait(self) -> None:
        """Return when it has ended, however."""
        self._thread.join()

    def result(self) -> None:
        """Return when it has ended well; raise what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._action()
        except Exception as error:
            # Whatever it is, the main thread must raise it.
            self._error = error
