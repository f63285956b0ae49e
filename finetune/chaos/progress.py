"""Progress without a thread: one that redraws by itself would make every fork a gamble."""

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from finetune.reporting.progress import LineProgress, Progress, print_to_stderr


class QuietBars:
    """Bars that are drawn when something advances, with the rate and what remains."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, tuple[TaskID, float]] = {}

    def begin(self, task: str, total: int, completed: int = 0) -> None:
        """Show a bar."""
        self._bars.start()
        self._tasks[task] = (self._bars.add_task(task, total=total, completed=completed, rate=""), time.monotonic())
        self._bars.refresh()

    def advance(self, task: str, completed: int, values: Mapping[str, float]) -> None:
        """Move the bar."""
        bar, started = self._tasks[task]
        rate = completed / max(1e-3, time.monotonic() - started)
        self._bars.update(bar, completed=completed, rate=f"{rate:.1f}/s", refresh=True)

    def end(self, task: str) -> None:
        """Take the bar away."""
        bar, _ = self._tasks.pop(task)
        self._bars.remove_task(bar)
        self._bars.refresh()

    def say(self, text: str) -> None:
        """Print above the bars."""
        self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Stop drawing."""
        self._bars.stop()


def progress_without_thread() -> Progress:
    """Return bars for a terminal, and lines for a log."""
    console = Console(stderr=True)
    return QuietBars(console) if console.is_terminal else LineProgress(print_to_stderr)
