"""Requests to stop, noticed between steps instead of in the middle of one."""

import os
import signal
import time
from types import FrameType, TracebackType
from typing import Any

# What a launcher forwards arrives twice within moments: a second press is a new decision only after this long.
_SAME_PRESS_SECONDS = 1.0
_NOTICE = b"\nstopping after this step; press Ctrl-C again to stop at once without saving\n"


class StopSignals:
    """While entered, Ctrl-C, SIGTERM and SIGUSR1 are noted and not acted upon; a second Ctrl-C stops at once.

    Must be entered on the main thread. Loader processes ignore these signals (`finetune.data.workers`).
    """

    def __init__(self) -> None:
        self._requested: signal.Signals | None = None
        self._requested_at = 0.0
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

    def __enter__(self) -> "StopSignals":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._requested is None:
            self._requested, self._requested_at = signal.Signals(number), time.monotonic()
            if self.interrupted:
                # Not print: a handler may run inside another print.
                os.write(2, _NOTICE)
        elif number == signal.SIGINT and time.monotonic() - self._requested_at > _SAME_PRESS_SECONDS:
            raise KeyboardInterrupt
