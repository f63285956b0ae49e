"""A run followed by TensorBoard, through event files in its folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from finetune.reporting.description import RunDescription
from finetune.reporting.drawing import decode_jpeg, label_colours
from finetune.reporting.painting import paint_masks
from finetune.reporting.rows import PredictionRow


@dataclass(slots=True)
class TensorBoardRun:
    """One event file at a time: a rewound run closes it and opens another, which voids the later steps of the first."""

    folder: Path
    writer: Any

    @classmethod
    def start(cls, run: RunDescription, folder: Path) -> "TensorBoardRun":
        """Open an event file and write every setting as text.

        TensorBoard's own hyperparameters take no nested values, so the configuration is shown as JSON.
        """
        own_folder = folder / "tensorboard"
        writer = SummaryWriter(str(own_folder))
        writer.add_text("config", f"```json\n{json.dumps(run.config, indent=2, ensure_ascii=False)}\n```")
        return cls(own_folder, writer)

    def where(self) -> str:
        """The command that shows it."""
        return f"tensorboard --logdir {self.folder}"

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Take values as scalars."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        """Take the images with predicted boxes and masks drawn, and what was asked and said as text."""
        for index, row in enumerate(rows):
            if row.thumbnail_jpeg is not None:
                pixels = np.asarray(decode_jpeg(row.thumbnail_jpeg))
                colours = label_colours(instance.label for instance in row.predicted)
                boxes_xyxy_pixels = [instance.box.to_xyxy_pixels(pixels.shape[:2]) for instance in row.predicted]
                self.writer.add_image_with_boxes(
                    f"predictions/{index}",
                    paint_masks(pixels, row.predicted, colours),
                    np.array(boxes_xyxy_pixels, dtype=np.float64).reshape(-1, 4),
                    step,
                    dataformats="HWC",
                    labels=[instance.label for instance in row.predicted],
                )
                self.writer.add_text(f"predictions/{index}", f"{row.prefix} → {row.text}", step)

    def log_artifact(self, folder: Path, name: str) -> None:
        """Write down where the files are: event files hold none."""
        self.writer.add_text(f"artifact/{name}", str(folder))

    def rewind(self, step: int) -> None:
        """Void what was logged after `step`."""
        self.writer.close()
        self.writer = SummaryWriter(str(self.folder), purge_step=step + 1)

    def finish(self, exit_code: int) -> None:
        """Close the event file."""
        self.writer.add_text("exit code", str(exit_code))
        self.writer.close()
