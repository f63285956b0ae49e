"""Where a run is followed from outside its folder: nowhere, W&B or TensorBoard.

A `Tracker` is a choice of the configuration and knows nothing heavy; `start` gives a `TrackedRun`, which does. Steps
are always explicit: a tracker's own counter would start again at 0 in a resumed run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Protocol, runtime_checkable

from finetune.reporting.description import RunDescription
from finetune.reporting.rows import PredictionRow
from finetune.settings import above


@runtime_checkable
class TrackedRun(Protocol):
    """A run being followed. Any method may raise: the guard (`finetune.reporting.guard`) ends the following then."""

    def where(self) -> str:
        """Say where a person finds it: an address or a command; "" for nowhere."""
        ...

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take values by name; names with a "/" are grouped by what stands before it."""
        ...

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Take one evaluation's samples that have a thumbnail."""
        ...

    def log_artifact(self, folder: Path, name: str) -> None:
        """Take the files of a folder, to be kept as one thing."""
        ...

    def rewind(self, step: int) -> None:
        """Hear that the run continues after `step`, and that values after it, if any, are void."""
        ...

    def finish(self, exit_code: int) -> None:
        """Hear that nothing follows."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """What `conf/tracking/*.yaml` names."""

    @property
    def wants_adapter(self) -> bool:
        """Whether the exported adapter should be handed to `log_artifact` after training."""
        ...

    def start(self, run: RunDescription, folder: Path) -> TrackedRun:
        """Begin to follow a run, or go on following it. `folder` is the run's; `run` holds no secrets."""
        ...


class NothingTracked:
    """A run that nobody follows."""

    def where(self) -> str:
        """Nowhere."""
        return ""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Leave the values to metrics.jsonl."""

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Leave the rows to predictions/."""

    def log_artifact(self, folder: Path, name: str) -> None:
        """Leave the files where they are."""

    def rewind(self, step: int) -> None:
        """Nothing was taken, so nothing is void."""

    def finish(self, exit_code: int) -> None:
        """Leave the exit code to exit_status.json."""


@dataclass(frozen=True, kw_only=True)
class NoTracker:
    """Only the run's folder: metrics.jsonl, predictions and report.html are always written."""

    @property
    def wants_adapter(self) -> bool:
        """Nobody would take it."""
        return False

    def start(self, run: RunDescription, folder: Path) -> TrackedRun:
        """Follow nothing."""
        return NothingTracked()


class WandbMode(Enum):
    """Send to the server while the run goes on, or keep everything in the run's folder for `wandb sync`."""

    online = "online"
    offline = "offline"


@dataclass(frozen=True, kw_only=True)
class WandbTracker:
    """Weights & Biases. The key comes from `wandb login` or WANDB_API_KEY, never from a setting.

    Args:
        entity: User or team; None: the account's default.
        group: Shows runs together, such as the seeds of one experiment.
        log_artifact: Whether to upload the exported adapter when training ends.
        init_timeout_seconds: How long the server may take to answer before tracking is given up.
    """

    project: str = "paligemma-finetune"
    entity: str | None = None
    mode: WandbMode = WandbMode.online
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    log_artifact: bool = False
    init_timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not self.project:
            raise ValueError("project must not be empty: name the W&B project")
        above("init_timeout_seconds", self.init_timeout_seconds, 0)

    @property
    def wants_adapter(self) -> bool:
        """As set."""
        return self.log_artifact

    def start(self, run: RunDescription, folder: Path) -> TrackedRun:
        """Begin the W&B run, or the same one again where the folder knows its id.

        Raises:
            RuntimeError: If it is online and no key is known.
        """
        from finetune.reporting.wandb_run import WandbRun

        return WandbRun.start(self, run, folder)


@dataclass(frozen=True, kw_only=True)
class TensorBoardTracker:
    """Event files in the run's folder: `tensorboard --logdir runs`."""

    @property
    def wants_adapter(self) -> bool:
        """Event files hold no files."""
        return False

    def start(self, run: RunDescription, folder: Path) -> TrackedRun:
        """Open an event file in the run's `tensorboard` folder."""
        from finetune.reporting.tensorboard_run import TensorBoardRun

        return TensorBoardRun.start(run, folder)
