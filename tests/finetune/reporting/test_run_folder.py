"""The files of a run."""

import math
from pathlib import Path

import pytest

from finetune.reporting.rows import PredictionRow
from finetune.reporting.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(path=tmp_path)


def row(sample_id: str, thumbnail_jpeg: bytes | None = None) -> PredictionRow:
    return PredictionRow(
        sample_id=sample_id,
        prefix="caption en",
        text="a cat",
        reference="cat",
        score=0.5,
        thumbnail_jpeg=thumbnail_jpeg,
    )


def run_until(folder: RunFolder, first_step: int, last_step: int) -> None:
    """Write what a run writes in the steps first_step + 1 .. last_step."""
    for step in range(first_step + 1, last_step + 1):
        folder.append_metrics({"loss": 1 / step, "grad_norm": math.sqrt(step)}, step)
        folder.append_skip({"sample_id": f"s{step}", "code": "empty"}, step)
        if step % 2 == 0:
            folder.append_metrics({"eval/mAP": 0.1 * step}, step)
            folder.write_predictions([row(f"at {step}", b"jpeg")], step)


def content(folder: RunFolder) -> dict[str, bytes]:
    files = (path for path in folder.path.rglob("*") if path.is_file())
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in files}


@pytest.mark.parametrize("resumed_at", [0, 3, 4])
def test_a_rewound_and_continued_run_leaves_the_files_of_an_uninterrupted_one(tmp_path: Path, resumed_at: int) -> None:
    straight, interrupted = RunFolder(path=tmp_path / "straight"), RunFolder(path=tmp_path / "interrupted")
    for folder in (straight, interrupted):
        folder.path.mkdir()
    run_until(straight, 0, 8)
    run_until(interrupted, 0, 6)
    with interrupted.metrics.open("a", encoding="utf-8") as file:
        file.write('{"step": 7, "lo')  # killed here
    interrupted.rewind(resumed_at)
    run_until(interrupted, resumed_at, 8)
    assert content(interrupted) == content(straight)


def test_of_a_step_that_is_evaluated_again_the_loss_stays(folder: RunFolder) -> None:
    run_until(folder, 0, 4)
    folder.rewind(4, is_evaluated=False)
    kept = [(line.step, "loss" in line.values) for line in folder.read_metrics()]
    assert kept == [(1, True), (2, True), (2, False), (3, True), (4, True)]
    assert folder.prediction_steps() == [2]


def test_rewinding_a_folder_that_holds_nothing_changes_nothing(folder: RunFolder) -> None:
    folder.rewind(5)
    assert content(folder) == {}


def test_metrics_come_back_exactly_with_the_values_that_are_not_finite(folder: RunFolder) -> None:
    folder.append_metrics({"loss": 0.1 + 0.2, "count": 3}, 1)
    folder.append_metrics({"loss": math.nan, "grad_norm": math.inf}, 2)
    first, second = folder.read_metrics()
    assert (first.step, dict(first.values)) == (1, {"loss": 0.1 + 0.2, "count": 3.0})
    assert math.isnan(second.values["loss"])
    assert second.values["grad_norm"] == math.inf
    assert folder.metrics.read_text(encoding="utf-8").splitlines()[1] == (
        '{"step": 2, "loss": "NaN", "grad_norm": "Infinity"}'
    )


def test_predictions_come_back_with_their_images(folder: RunFolder) -> None:
    rows = [row("a/1", b"first"), row("../2"), row("3", b"third")]
    path = folder.write_predictions(rows, 100)
    assert path == folder.path / "predictions" / "step-00000100.jsonl"
    assert folder.read_predictions(100) == rows
    assert folder.prediction_steps() == [100]


def test_predictions_written_again_replace_the_old_ones_and_their_images(folder: RunFolder) -> None:
    folder.write_predictions([row("a", b"1"), row("b", b"2")], 1)
    folder.write_predictions([row("a")], 1)
    assert folder.read_predictions(1) == [row("a")]
    assert sorted(content(folder)) == ["predictions/step-00000001.jsonl"]


def test_what_was_not_written_yet_reads_as_nothing(folder: RunFolder) -> None:
    assert folder.read_metrics() == folder.read_skips() == folder.read_predictions(1) == []
    assert folder.read_description() == {}
    assert folder.read_config() == ""
