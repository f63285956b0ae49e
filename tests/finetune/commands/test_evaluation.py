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


def test_an_evaluation_of_other_settings_replaces_none(trained_run: Path, finetune: Callable[..., None]) -> None:
    finetune("evaluate", f"run={trained_run}")
    plain = trained_run / "evaluations" / "eval_split-step-00000004"
    before = (plain / "metrics.jsonl").read_bytes()
    for number in (1, 2):
        finetune("evaluate", f"run={trained_run}", f"evaluation.num_samples={number}")
    folders = list(plain.parent.glob(f"{plain.name}-*"))
    assert len(folders) == 2
    assert {len(RunFolder(path=folder).read_predictions(4)) for folder in folders} == {1, 2}
    assert (plain / "metrics.jsonl").read_bytes() == before


def test_settings_that_make_other_weights_are_refused_one_by_one(
    trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = ["peft.alpha=1", "model.init_seed=3", "freeze.connector=true"]
    for command in ("evaluate", "predict", "export"):
        assert cli.run([command, f"run={trained_run}", *others]) == 2
        message = capsys.readouterr().err
        assert "has weights for other settings than these; leave them out" in message
        for name in (
            "peft.alpha: was ",
            "model.init_seed: was 0, is now 3",
            "freeze.connector: was false, is now true",
        ):
            assert f"\n  {name}" in message


def test_the_report_says_what_was_scored(trained_run: Path, tmp_path: Path, finetune: Callable[..., None]) -> None:
    finetune("evaluate", f"run={trained_run}", "evaluation.num_samples=3")
    finetune("evaluate", f"runs={tmp_path}", "name=base", *SMALL)
    [base] = (tmp_path / "base" / "evaluations").iterdir()
    [of_run] = [
        folder
        for folder in (trained_run / "evaluations").iterdir()
        if RunFolder(path=folder).read_description()["config"]["evaluation"]["num_samples"] == 3
    ]
    headlines = [RunFolder(path=folder).read_description()["headline"] for folder in (of_run, base)]
    assert headlines[0]["weights"] == f"step 4 of {trained_run}"
    assert headlines[1]["training"] == "none: the base model"
    assert not any("length" in headline for headline in headlines)
    assert RunFolder(path=trained_run).read_description()["headline"]["length"] == "4 steps of 4 examples"


def test_an_earlier_checkpoint_can_be_named(trained_run: Path, finetune: Callable[..., None]) -> None:
    finetune("evaluate", f"run={trained_run}", "weights=step-00000002")
    folder = trained_run / "evaluations" / "eval_split-step-00000002"
    assert RunFolder(path=folder).read_predictions(2)[0].text == RunFolder(path=trained_run).read_predictions(2)[0].text


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("best", "without evaluation.best_metric"),
        ("step-00000003", "no checkpoint of step 3"),
        ("last", "must be latest"),
    ],
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
