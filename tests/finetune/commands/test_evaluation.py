"""`finetune evaluate` as it is typed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli
from finetune.reporting.run_folder import RunFolder

from .conftest import SMALL


def test_a_runs_weights_score_as_they_did_in_training(trained_run: Path, finetune: Callable[..., None]) -> None:
    before = (trained_run / "metrics.jsonl").read_bytes()
    finetune("evaluate", f"run={trained_run}")
    folder = RunFolder(path=trained_run / "evaluations" / "eval_split-step-00000004")
    in_training = RunFolder(path=trained_run).read_metrics()[-1]
    assert folder.read_metrics()[-1].values == in_training.values
    assert (trained_run / "metrics.jsonl").read_bytes() == before
    assert (folder.path / "report.html").is_file()


def test_an_earlier_checkpoint_can_be_named(trained_run: Path, finetune: Callable[..., None]) -> None:
    finetune("evaluate", f"run={trained_run}", "weights=step-00000002")
    folder = trained_run / "evaluations" / "eval_split-step-00000002"
    assert RunFolder(path=folder).read_predictions(2)[0].text == RunFolder(path=trained_run).read_predictions(2)[0].text


@pytest.mark.parametrize(
    ("weights", "words"),
    [("best", "without evaluation.best_metric"), ("step-00000003", "no checkpoint of step 3"), ("last", "must be latest")],
)
def test_weights_that_are_not_there_are_refused(
    trained_run: Path, weights: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["evaluate", f"run={trained_run}", f"weights={weights}"]) == 2
    assert words in capsys.readouterr().err


def test_a_base_model_is_scored_without_a_run(tmp_path: Path, finetune: Callable[..., None]) -> None:
    finetune("evaluate", f"runs={tmp_path}", "name=base", "recipe=ocr", *SMALL)
    [folder] = (tmp_path / "base" / "evaluations").iterdir()
    assert {"eval/CER", "eval/ANLS"} <= set(RunFolder(path=folder).read_metrics()[-1].values)
