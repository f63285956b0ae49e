"""What training and evaluation talk to, whatever stands behind it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from finetune.reporting.description import RunDescription, Table
from finetune.reporting.progress import NoProgress, Progress
from finetune.reporting.rows import PredictionRow


@runtime_checkable
class Skipped(Protocol):
    """A sample that was left out: any dataclass, whose fields become a line of skips.jsonl."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


@runtime_checkable
class Reporter(Protocol):
    """Where a run's story goes. One rank tells it (`MainReporter`); the others hold a `SilentReporter`."""

    @property
    def progress(self) -> Progress:
        """Where work other than training shows how far it is."""
        ...

    def start(self, run: RunDescription) -> None:
        """Write the run down and begin to track it."""
        ...

    def add_table(self, table: Table) -> None:
        """Add facts to the report, in place of those of the same title."""
        ...

    def rewind(self, step: int, *, is_evaluated: bool = True) -> None:
        """Forget what came after `step`, and its evaluation unless it `is_evaluated`; -1 forgets everything."""
        ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take values of one optimizer step, by name."""
        ...

    def log_skips(self, skips: Sequence[Skipped], step: int) -> None:
        """Take the samples that were left out."""
        ...

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Take one evaluation's samples."""
        ...

    def log_artifact(self, folder: Path, name: str) -> None:
        """Hand a folder to the tracker."""
        ...

    def say(self, text: str) -> None:
        """Tell the user."""
        ...

    def warn(self, text: str) -> None:
        """Tell the user that something is not as it should be."""
        ...

    def finish(self, exit_code: int, reason: str, *, step: int | None = None) -> None:
        """Say how the run ended, after which step, and close everything; also where it failed before `start`."""
        ...


class SilentReporter:
    """Every rank but the first: what it would tell, the first one tells."""

    @property
    def progress(self) -> Progress:
        """Silence."""
        return NoProgress()

    def start(self, run: RunDescription) -> None:
        """Tell nothing."""

    def add_table(self, table: Table) -> None:
        """Tell nothing."""

    def rewind(self, step: int, *, is_evaluated: bool = True) -> None:
        """Tell nothing."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Tell nothing."""

    def log_skips(self, skips: Sequence[Skipped], step: int) -> None:
        """Tell nothing."""

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Tell nothing."""

    def log_artifact(self, folder: Path, name: str) -> None:
        """Tell nothing."""

    def say(self, text: str) -> None:
        """Tell nothing."""

    def warn(self, text: str) -> None:
        """Tell nothing."""

    def finish(self, exit_code: int, reason: str, *, step: int | None = None) -> None:
        """Tell nothing."""
