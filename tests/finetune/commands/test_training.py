"""`finetune train` as it is typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli
from finetune.commands.training import steps_of
from finetune.config.schema import RunConfig
from finetune.reporting.run_folder import RunFolder
from finetune.settings import TrainingSettings

from .conftest import SMALL


def losses(folder: Path) -> dict[int, float]:
    lines = RunFolder(path=folder).read_metrics()
    return {line.step: line.values["loss"] for line in lines if "loss" in line.values}


def test_a_run_leaves_everything_that_its_folder_promises(trained_run: Path) -> None:
    names = {path.name for path in trained_run.iterdir()}
    assert {
        "checkpoints", "config.yaml", "exit_status.json", "identity.json", "metrics.jsonl", "overrides.json",
        "predictions", "report.html", "run.json",
    } <= names  # fmt: skip
    assert json.loads((trained_run / "exit_status.json").read_text())["exit_code"] == 0
    assert list(losses(trained_run)) == [1, 2, 3, 4]
    assert RunFolder(path=trained_run).prediction_steps() == [0, 2, 4]
    assert [path.name for path in sorted((trained_run / "checkpoints").iterdir())] == ["step-00000002", "step-00000004"]


def test_every_score_is_logged_once_for_each_evaluation(trained_run: Path) -> None:
    lines = RunFolder(path=trained_run).read_metrics()
    assert [line.step for line in lines if "eval/malformed" in line.values] == [0, 2, 4]
    assert not any("malformed" in line.values for line in lines)


def test_what_trains_and_what_was_proved_is_in_the_report(trained_run: Path) -> None:
    titles = [table["title"] for table in RunFolder(path=trained_run).read_description()["tables"]]
    assert titles == ["What trains", "Self-test", "In force"]
    assert "changing the last suffix token moves no earlier logit" in (trained_run / "report.html").read_text()


def test_starting_a_finished_run_again_changes_nothing(trained_run: Path, finetune: Callable[..., None]) -> None:
    before = (trained_run / "metrics.jsonl").read_bytes()
    finetune(
        "train", f"runs={trained_run.parent}", "name=small", "checkpoint.every_steps=2", "evaluation.every_steps=2",
        *SMALL,
    )  # fmt: skip
    assert (trained_run / "metrics.jsonl").read_bytes() == before


def test_a_run_cut_at_a_checkpoint_continues_to_the_same_lines(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    words = ["train", f"runs={tmp_path}", "checkpoint.every_steps=2", "evaluation.every_steps=2", *SMALL]
    finetune(*words, "name=cut")
    newest = tmp_path / "cut" / "checkpoints" / "step-00000004"
    newest.rename(tmp_path / "elsewhere")
    finetune(*words, "name=cut")
    assert losses(tmp_path / "cut") == losses(trained_run)


def test_other_settings_under_the_same_name_are_refused_setting_by_setting(
    trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", f"runs={trained_run.parent}", "name=small", *SMALL, "optimizer.learning_rate=0.02"]
    assert cli.run(words) == 2
    message = capsys.readouterr().err
    assert "was started with other settings" in message
    assert "optimizer.learning_rate: was 0.01, is now 0.02" in message


@pytest.mark.parametrize(("resume", "name", "words"), [("never", "small", "holds a run"), ("require", "none", "no run")])
def test_resume_can_forbid_and_insist(
    trained_run: Path, resume: str, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["train", f"runs={trained_run.parent}", f"name={name}", f"resume={resume}", *SMALL]) == 2
    assert words in capsys.readouterr().err


def test_a_mixture_is_trained_and_scored_part_by_part(tmp_path: Path, finetune: Callable[..., None]) -> None:
    finetune("train", f"runs={tmp_path}", "name=mix", "recipe=mixture", *SMALL, "evaluation.num_samples=2")
    scores = RunFolder(path=tmp_path / "mix").read_metrics()[-1].values
    assert {name.split("/")[1] for name in scores} == {"captions", "questions", "words", "shapes"}


def test_a_bad_sample_stops_the_run_by_name_or_is_skipped_and_counted(
    tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", f"runs={tmp_path}", "recipe=captioning", *SMALL, "data.max_text_tokens=9"]
    assert cli.run([*words, "name=stop", "self_test.enabled=false"]) == 2
    assert "data.max_text_tokens" in capsys.readouterr().err
    finetune(*words, "name=skip", "data.on_bad_sample=skip")
    skips = RunFolder(path=tmp_path / "skip").read_skips()
    assert skips
    assert {skip["code"] for skip in skips} == {"too-long"}


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 3), (2.0, 5), (0.1, 1)])
def test_epochs_are_rounded_up_to_whole_windows(epochs: float, steps: int) -> None:
    training = TrainingSettings(global_batch_size=4, micro_batch_size=4, max_steps=None, epochs=epochs)
    assert steps_of(RunConfig(training=training), 10) == steps
