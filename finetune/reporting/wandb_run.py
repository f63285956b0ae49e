"""A run followed by Weights & Biases."""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from wandb.data_types import Classes

from finetune.reporting.description import RunDescription
from finetune.reporting.drawing import decode_jpeg
from finetune.reporting.painting import mask_at
from finetune.reporting.redaction import redact
from finetune.reporting.rows import PredictionRow
from finetune.reporting.strict_json import dumps, write_file
from finetune.reporting.trackers import WandbMode, WandbTracker
from finetune.types import Instance

_COLUMNS = ("id", "prefix", "text", "reference", "score", "image")


@dataclass(frozen=True, slots=True, kw_only=True)
class WandbRun:
    """One W&B run. Its id lies in the run's folder, so that a resumed run continues the same curves."""

    run: Any

    @classmethod
    def start(cls, tracker: WandbTracker, run: RunDescription, folder: Path) -> "WandbRun":
        """Begin or continue the run, without W&B's record of terminal output and command line.

        Either may show what the configuration hides: a password in an override, a key that some library prints.

        Raises:
            RuntimeError: If the tracker is online and no key is known; W&B would ask for one on the terminal and wait.
        """
        wandb.setup(wandb.Settings(silent=True))
        if tracker.mode is WandbMode.online and not wandb.login(prompt=False, verify=False):
            raise RuntimeError("no W&B key: run `wandb login`, set WANDB_API_KEY, or set tracking.mode=offline")
        settings = wandb.Settings(
            init_timeout=tracker.init_timeout_seconds,
            console="off",
            silent=True,
            disable_code=True,
            x_disable_meta=True,
        )
        started = wandb.init(
            project=tracker.project,
            entity=tracker.entity,
            mode=tracker.mode.value,
            group=redact(tracker.group),
            tags=redact(list(tracker.tags)),
            name=run.name,
            dir=folder,
            config=dict(run.config),
            id=_run_id(folder),
            resume="allow",
            settings=settings,
        )
        return cls(run=started)

    def where(self) -> str:
        """The run's page, or how to send an offline run."""
        return f"wandb sync {Path(self.run.dir).parent}" if self.run.offline else str(self.run.url)

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take values by name."""
        self._log(dict(values), step)

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Take a table of predictions, their images with predicted and true boxes and masks that can be hidden."""
        shown = [row for row in rows if row.thumbnail_jpeg is not None]
        labels = sorted({instance.label for row in shown for instance in (*row.predicted, *(row.truth or ()))})
        images = [_image(row, labels) for row in shown]
        texts = [[row.sample_id, row.prefix, row.text, row.reference, row.score] for row in shown]
        table = wandb.Table(
            columns=list(_COLUMNS), data=[[*text, image] for text, image in zip(texts, images, strict=True)]
        )
        # The table's images go to W&B's own store of artifacts; the list keeps them, with their boxes, in the run.
        self._log({"predictions/table": table, "predictions/images": images}, step)

    def log_artifact(self, folder: Path, name: str) -> None:
        """Upload a folder as a model artifact."""
        artifact = wandb.Artifact(name, type="model")
        artifact.add_dir(str(folder))
        self.run.log_artifact(artifact)

    def rewind(self, step: int) -> None:
        """Keep what was logged: steps that the server has are passed over."""

    def finish(self, exit_code: int) -> None:
        """Send what is left and close the run; W&B shows it as failed where the code is not 0."""
        self.run.finish(exit_code=exit_code)

    def _log(self, values: dict[str, Any], step: int) -> None:
        """Log what the server does not have yet.

        It refuses to go back, and a resumed run repeats the steps after its checkpoint with the same values.
        """
        if step >= self.run.starting_step:
            self.run.log(values, step=step)


def _run_id(folder: Path) -> str:
    path = folder / "wandb.json"
    if not path.exists():
        write_file(path, dumps({"id": secrets.token_hex(4)}) + "\n")
    return str(json.loads(path.read_text(encoding="utf-8"))["id"])


def _image(row: PredictionRow, labels: Sequence[str]) -> wandb.Image:
    assert row.thumbnail_jpeg is not None, "only rows with a thumbnail are shown"
    shown = decode_jpeg(row.thumbnail_jpeg)
    kinds = {"predicted": row.predicted, "true": row.truth or ()}
    return wandb.Image(
        shown,
        caption=row.sample_id,
        boxes={kind: _boxes(instances, labels) for kind, instances in kinds.items()},
        masks={
            kind: _masks(instances, labels, (shown.height, shown.width))
            for kind, instances in kinds.items()
            if any(instance.mask is not None for instance in instances)
        },
        classes=Classes([{"id": number, "name": label} for number, label in _class_labels(labels).items()]),
    )


def _class_labels(labels: Sequence[str]) -> dict[int, str]:
    """Number labels as W&B wants them in one image; 0 is what no mask covers."""
    return dict(enumerate(labels, start=1))


def _masks(instances: Sequence[Instance], labels: Sequence[str], image_size: tuple[int, int]) -> dict[str, Any]:
    """Return all masks as one map of label numbers; where two of them overlap, the smaller one is seen.

    W&B keeps such maps as grey PNG files, so what has a number above 255 is left to its box.
    """
    numbers = np.zeros(image_size, dtype=np.uint8)
    for instance in sorted(instances, key=lambda one: -one.box.area):
        number = labels.index(instance.label) + 1
        if instance.mask is not None and number <= np.iinfo(np.uint8).max:
            numbers[mask_at(instance, image_size)] = number
    return {"mask_data": numbers, "class_labels": _class_labels(labels)}


def _boxes(instances: Sequence[Instance], labels: Sequence[str]) -> dict[str, Any]:
    """Return boxes as W&B draws them: fractions of the image by default."""
    return {
        "box_data": [
            {
                "position": {
                    "minX": instance.box.left,
                    "maxX": instance.box.right,
                    "minY": instance.box.top,
                    "maxY": instance.box.bottom,
                },
                "class_id": labels.index(instance.label) + 1,
                "box_caption": instance.label,
            }
            for instance in instances
        ],
        "class_labels": _class_labels(labels),
    }
