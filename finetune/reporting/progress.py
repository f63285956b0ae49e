"""How far the run is, on the terminal or in a cluster's log.

Bars are for people at a terminal; where nobody watches, plain lines come at most every few seconds. Both go to standard
error: standard output belongs to what a command makes.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

# What is worth a place on one line, in this order, and how it is written.
_SHOWN = {
    "loss": "loss {:.4f}",
    "examples_per_second": "{:.1f} examples/s",
    "tokens_per_second": "{:,.0f} tokens/s",
    "memory_gib": "{:.1f} GiB",
}


@runtime_checkable
class Progress(Protocol):
    """What long work is told to: a task by name, how much of it is done, and messages in between."""

    def begin(self, task: str, total: int, completed: int = 0) -> None:
        """Start a task of so many units; one of the same name is replaced."""
        ...

    def advance(self, task: str, completed: int, values: Mapping[str, float]) -> None:
        """Say how many units are done by now, and the latest values."""
        ...

    def end(self, task: str) -> None:
        """The task is over, done or not."""
        ...

    def say(self, text: str) -> None:
        """Show a message."""
        ...

    def close(self) -> None:
        """Give the terminal back."""
        ...


class NoProgress:
    """Silence, for every rank but the first."""

    def begin(self, task: str, total: int, completed: int = 0) -> None:
        """Show nothing."""

    def advance(self, task: str, completed: int, values: Mapping[str, float]) -> None:
        """Show nothing."""

    def end(self, task: str) -> None:
        """Show nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Nothing was taken."""


class BarProgress:
    """Bars at the bottom of a terminal, messages above them."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[values]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            # A thread that redraws must not print into another's output, nor take over what scorers print.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}

    def begin(self, task: str, total: int, completed: int = 0) -> None:
        """Show a bar."""
        if task in self._tasks:
            self.end(task)
        self._bars.start()
        self._tasks[task] = self._bars.add_task(task, total=total, completed=completed, values="")

    def advance(self, task: str, completed: int, values: Mapping[str, float]) -> None:
        """Move the bar."""
        self._bars.update(self._tasks[task], completed=completed, values=summary(values))

    def end(self, task: str) -> None:
        """Take the bar away."""
        self._bars.remove_task(self._tasks.pop(task))

    def say(self, text: str) -> None:
        """Print above the bars."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Stop drawing."""
        self._bars.stop()


@dataclass(slots=True)
class _Lines:
    """A task that is shown as lines: when it began, how much was done then, and when it was last shown."""

    total: int
    completed_at_start: int
    started: float
    shown: float


class LineProgress:
    """Plain lines for logs: the first and the last unit of a task, and one every `seconds` in between."""

    def __init__(
        self,
        print_line: Callable[[str], None],
        *,
        seconds: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._print_line = print_line
        self._seconds = seconds
        self._clock = clock
        self._tasks: dict[str, _Lines] = {}

    def begin(self, task: str, total: int, completed: int = 0) -> None:
        """Start the clock."""
        now = self._clock()
        self._tasks[task] = _Lines(total, completed, now, now - self._seconds)

    def advance(self, task: str, completed: int, values: Mapping[str, float]) -> None:
        """Print a line if the last one is long enough ago."""
        lines, now = self._tasks[task], self._clock()
        if completed < lines.total and now - lines.shown < self._seconds:
            return
        lines.shown = now
        done = completed - lines.completed_at_start
        left = (now - lines.started) / done * (lines.total - completed) if done > 0 else None
        remaining = "" if left is None else f"{duration(left)} left"
        self.say(" | ".join(filter(None, [f"{task} {completed}/{lines.total}", summary(values), remaining])))

    def end(self, task: str) -> None:
        """Forget the task."""
        del self._tasks[task]

    def say(self, text: str) -> None:
        """Print a line."""
        self._print_line(text)

    def close(self) -> None:
        """Nothing was taken."""


def progress_for(*, is_main: bool) -> Progress:
    """Return bars for a terminal, lines for a log, and silence for a rank that is not the first."""
    if not is_main:
        return NoProgress()
    console = Console(stderr=True)
    return BarProgress(console) if console.is_terminal else LineProgress(print_to_stderr)


def print_to_stderr(line: str) -> None:
    """Print at once, whatever buffers the launcher put in between."""
    print(line, file=sys.stderr, flush=True)


def summary(values: Mapping[str, float]) -> str:
    """Say the values that are worth it on one line."""
    return " | ".join(pattern.format(values[name]) for name, pattern in _SHOWN.items() if name in values)


def duration(seconds: float) -> str:
    """Write seconds as h:mm:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}"
