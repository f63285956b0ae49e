"""Requests to stop: at once while nothing would be lost, and after the step in progress while a run trains."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from finetune.engine.stops import PreemptedError

# What a launcher forwards arrives twice within moments: a second press is a new decision only after this long.
_SAME_PRESS_SECONDS = 1.0
_NOTICE = b"\nstopping after this step; press Ctrl-C again to stop at once without saving\n"
# Ctrl-C, a scheduler's end, a batch script's warning ahead of the limit, and submitit's.
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class StopSignals:
    """While entered, Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 end the process in an orderly way.

    Before and after training they stop it at once, with KeyboardInterrupt or PreemptedError. Inside `deferred` the
    first one is noted and not acted upon; a second Ctrl-C stops at once.

    Must be entered on the main thread. Loader processes ignore these signals (`finetune.data.workers`).
    """

    def __init__(self) -> None:
        self._requested: signal.Signals | None = None
        self._requested_at = 0.0
        self._is_deferring = False
        self._previous: dict[signal.Signals, Any] = {}

    @property
    def requested(self) -> signal.Signals | None:
        """The first signal that asked this process to stop; None so far."""
        return self._requested

    @property
    def interrupted(self) -> bool:
        """Whether the user pressed Ctrl-C."""
        return self._requested is signal.SIGINT

    @property
    def preempted(self) -> bool:
        """Whether something else asked the process to end."""
        return self._requested is not None and not self.interrupted

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Note signals inside the block, for someone who looks between two steps."""
        self._is_deferring = True
        try:
            yield
        finally:
            self._is_deferring = False

    def __enter__(self) -> "StopSignals":
        for number in _NUMBERS:
            self._previous[number] = signal.signal(number, self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        is_first = self._requested is None
        is_same_press = time.monotonic() - self._requested_at <= _SAME_PRESS_SECONDS
        if is_first:
            # Noted in any case: whatever swallows the error below, the first step will not begin.
            self._requested, self._requested_at = signal.Signals(number), time.monotonic()
        if self._is_deferring and is_first and self.interrupted:
            # Not print: a handler may run inside another print.
            os.write(2, _NOTICE)
        elif number == signal.SIGINT and not (self._is_deferring and (is_first or is_same_press)):
            raise KeyboardInterrupt
        elif is_first and not self._is_deferring:
            name = signal.Signals(number).name
            raise PreemptedError(f"{name} asked to end outside training; the same command goes on from what is saved")
