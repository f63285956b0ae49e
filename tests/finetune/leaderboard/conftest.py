"""A folder of a run, as a run leaves it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune.reporting.exit_status import ExitStatus, write_exit_status
from finetune.reporting.rows import PredictionRow
from finetune.reporting.run_folder import RunFolder

DOCVQA = "datasets_adapters.published.docvqa.DocVqa"
SUBJECT = {
    "experiment": "docvqa",
    "model": "paligemma-3b",
    "image_size": 448,
    "split": "val",
    "trained_split": "train",
}


@pytest.fixture
def left(tmp_path: Path) -> Callable[..., Path]:
    """Leave a finished run with two evaluations; arguments change its settings and its subject."""

    def leave(
        name: str = "run",
        *,
        dataset: dict[str, Any] | None = None,
        evaluation: dict[str, Any] | None = None,
        code: int = 0,
        **subject: Any,
    ) -> Path:
        folder = RunFolder(path=tmp_path / name)
        folder.write_description(
            {
                "headline": {"model": "google/paligemma-3b-pt-448 (PaliGemma 1)"},
                "subject": SUBJECT | subject,
                "config": {
                    "dataset": {"_target_": DOCVQA} | (dataset or {}),
                    "evaluation": {"num_samples": None, "best_metric": None} | (evaluation or {}),
                },
            }
        )
        folder.append_metrics({"eval/ANLS": 0.1, "eval/exact_match": 0.0}, 0)
        folder.append_metrics({"eval/ANLS": 0.75, "eval/exact_match": 0.5}, 10)
        folder.append_metrics({"loss": 1.0}, 11)
        row = PredictionRow(sample_id="a", prefix="", text="", reference="", score=None)
        folder.write_predictions([row] * 3, 10)
        write_exit_status(folder.path, ExitStatus(code=code, step=11, message="finished"))
        return folder.path

    return leave
