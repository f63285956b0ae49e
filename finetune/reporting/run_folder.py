"""The files of a run's folder that tell its story; checkpoints are the engine's.

config.yaml run.json   every setting; what the run is, for the report and for people
metrics.jsonl          {"step": 100, "loss": 2.25, "learning_rate": 0.0001}, one line for every time values were logged
skips.jsonl            one line for every sample that was left out, and why
predictions/           step-00000100.jsonl, one line a sample, and step-00000100/*.jpg for the first of them
exit_status.json       how the run ended
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.reporting.prediction_file import forget_images, write_predictions
from finetune.reporting.rows import PredictionRow, row_from_json
from finetune.reporting.strict_json import append_line, complete_lines, dumps, write_file


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedValues:
    """One line of metrics.jsonl."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A run's folder by its path. Reading what was not written yet gives nothing, not an error."""

    path: Path

    @property
    def metrics(self) -> Path:
        """The values of every logged step."""
        return self.path / "metrics.jsonl"

    @property
    def skips(self) -> Path:
        """The samples that were left out."""
        return self.path / "skips.jsonl"

    @property
    def predictions(self) -> Path:
        """The folder of evaluated samples."""
        return self.path / "predictions"

    def write_config(self, text: str) -> None:
        """Write every setting, as YAML text without secrets."""
        write_file(self.path / "config.yaml", text)

    def read_config(self) -> str:
        """Return what `write_config` wrote."""
        return _text_or(self.path / "config.yaml", "")

    def write_description(self, description: Mapping[str, Any]) -> None:
        """Write what the run is, as JSON without secrets."""
        write_file(self.path / "run.json", dumps(description, indent=1) + "\n")

    def read_description(self) -> dict[str, Any]:
        """Return what `write_description` wrote."""
        description: dict[str, Any] = json.loads(_text_or(self.path / "run.json", "{}"))
        return description

    def append_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add one line to metrics.jsonl."""
        append_line(self.metrics, {"step": step, **values})

    def read_metrics(self) -> list[LoggedValues]:
        """Return metrics.jsonl, in the order of logging."""
        lines = [json.loads(line) for line in _lines_of(self.metrics)]
        return [
            LoggedValues(step=line.pop("step"), values={name: float(value) for name, value in line.items()})
            for line in lines
        ]

    def append_skip(self, skip: Mapping[str, Any], step: int) -> None:
        """Add one line to skips.jsonl."""
        append_line(self.skips, {"step": step, **skip})

    def read_skips(self) -> list[dict[str, Any]]:
        """Return skips.jsonl."""
        return [json.loads(line) for line in _lines_of(self.skips)]

    def write_predictions(self, rows: Sequence[PredictionRow], step: int) -> Path:
        """Write one evaluation's samples; return the file's path."""
        return write_predictions(self.predictions / f"step-{step:08d}.jsonl", rows)

    def read_predictions(self, step: int) -> list[PredictionRow]:
        """Return one evaluation's samples, with the images of those that have one."""
        path = self.predictions / f"step-{step:08d}.jsonl"
        lines = [json.loads(line) for line in _lines_of(path)]
        return [
            row_from_json(line, (path.parent / line["thumbnail"]).read_bytes() if line["thumbnail"] else None)
            for line in lines
        ]

    def prediction_steps(self) -> list[int]:
        """Return the steps that were evaluated, ascending."""
        return sorted(int(path.stem.removeprefix("step-")) for path in self.predictions.glob("step-*.jsonl"))

    def rewind(self, step: int, *, is_evaluated: bool = True) -> None:
        """Forget everything after a step, and half a line at a file's end: as if the run had stopped there.

        A resumed run then writes the same files as one that was never interrupted.

        Args:
            is_evaluated: Whether the evaluation after the step stays; otherwise the run will do it again.
        """

        def is_kept(line: dict[str, Any]) -> bool:
            return line["step"] < step or (line["step"] == step and (is_evaluated or "loss" in line))

        if self.metrics.exists():
            kept = [line for line in complete_lines(self.metrics) if is_kept(json.loads(line))]
            write_file(self.metrics, "".join(kept))
        if self.skips.exists():
            kept = [line for line in complete_lines(self.skips) if json.loads(line)["step"] <= step]
            write_file(self.skips, "".join(kept))
        for later in self.prediction_steps():
            if later > step or (later == step and not is_evaluated):
                path = self.predictions / f"step-{later:08d}.jsonl"
                path.unlink()
                forget_images(path)


def _lines_of(path: Path) -> list[str]:
    return list(complete_lines(path)) if path.exists() else []


def _text_or(path: Path, default: str) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else default
