"""The rank that tells the run's story: the run's folder always, the tracker guarded, the terminal."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from finetune.reporting.description import RunDescription, Table
from finetune.reporting.exit_status import ExitStatus, write_exit_status
from finetune.reporting.guard import GuardedRun
from finetune.reporting.progress import Progress
from finetune.reporting.redaction import redact, redact_text, secrets_of
from finetune.reporting.reporter import Skipped
from finetune.reporting.rows import PredictionRow
from finetune.reporting.run_folder import RunFolder
from finetune.reporting.trackers import Tracker

TRAINING = "training"


class MainReporter:
    """Tells what it is told. A tracker that fails is given up, a disk that refuses a line is warned about once.

    Neither stops the run: a full disk will refuse the next checkpoint too, and that is the error to stop at.
    """

    def __init__(self, folder: RunFolder, tracker: Tracker, progress: Progress) -> None:
        self._folder = folder
        self._tracker = tracker
        self._progress = progress
        self._description: dict[str, Any] = {}
        self._tracked: GuardedRun | None = None
        self._first_step = 0
        self._is_training_shown = False
        self._is_disk_refusing = False

    @property
    def progress(self) -> Progress:
        """The terminal."""
        return self._progress

    def start(self, run: RunDescription) -> None:
        """Write config.yaml and run.json without secrets, and begin to track."""
        secrets = secrets_of(run.config)
        config = redact(run.config, secrets)
        run = replace(run, config=config, config_text=redact_text(run.config_text, secrets))
        self._description = {
            "name": run.name,
            "num_steps": run.num_steps,
            "headline": redact(run.headline, secrets),
            "subject": None if run.subject is None else redact(asdict(run.subject), secrets),
            "config": run.config,
            "tables": [],
        }
        self._folder.write_config(run.config_text)
        self._folder.write_description(self._description)
        self._tracked = GuardedRun(self._tracker, run, self._folder.path, say=self.say, warn=self.warn)

    def add_table(self, table: Table) -> None:
        """Add facts to run.json."""
        others = [other for other in self._description["tables"] if other["title"] != table.title]
        self._description["tables"] = [*others, asdict(table)]
        self._write(partial(self._folder.write_description, self._description))

    def rewind(self, step: int, *, is_evaluated: bool = True) -> None:
        """Cut the run's files back to `step`; -1 forgets everything."""
        self._first_step = max(0, step)
        self._folder.rewind(step, is_evaluated=is_evaluated)
        self._following.rewind(step)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write a line of metrics.jsonl, track it, and show it where it comes from training."""
        self._write(partial(self._folder.append_metrics, values, step))
        self._following.log(values, step)
        # Scores of an evaluation come by the same way, at a step that training has shown.
        if "loss" in values:
            self._show_training(values, step)

    def log_skips(self, skips: Sequence[Skipped], step: int) -> None:
        """Write lines of skips.jsonl."""
        for skip in skips:
            self._write(partial(self._folder.append_skip, asdict(skip), step))

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Write a file of predictions and track those with an image."""
        self._write(partial(self._folder.write_predictions, rows, step))
        self._following.log_predictions([row for row in rows if row.thumbnail_jpeg is not None], step)

    def log_artifact(self, folder: Path, name: str) -> None:
        """Hand a folder to the tracker."""
        self._following.log_artifact(folder, name)

    def say(self, text: str) -> None:
        """Print a line."""
        self._progress.say(redact_text(text))

    def warn(self, text: str) -> None:
        """Print a line that says it is a warning."""
        self.say(f"warning: {text}")

    def finish(self, exit_code: int, reason: str, *, step: int | None = None) -> None:
        """Write exit_status.json first, for the tracker may take its time. A run may fail before `start`."""
        status = ExitStatus(code=exit_code, step=step, message=redact_text(reason))
        self._write(partial(write_exit_status, self._folder.path, status))
        self._progress.close()
        if self._tracked is not None:
            self._tracked.finish(exit_code)

    @property
    def _following(self) -> GuardedRun:
        assert self._tracked is not None, "the reporter was not started"
        return self._tracked

    def _show_training(self, values: Mapping[str, float], step: int) -> None:
        if not self._is_training_shown:
            self._progress.begin(TRAINING, self._description["num_steps"], self._first_step)
            self._is_training_shown = True
        self._progress.advance(TRAINING, step, values)

    def _write(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            if not self._is_disk_refusing:
                self._is_disk_refusing = True
                self.warn(f"a log could not be written, the run goes on: {error}")
