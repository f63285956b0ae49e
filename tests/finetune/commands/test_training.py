"""`finetune train` as it is typed."""

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from finetune import cli
from finetune.engine import faults
from finetune.reporting.run_folder import RunFolder

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
    assert json.loads((trained_run / "exit_status.json").read_text())["code"] == 0
    assert list(losses(trained_run)) == [1, 2, 3, 4]
    assert RunFolder(path=trained_run).prediction_steps() == [0, 2, 4]
    assert [path.name for path in sorted((trained_run / "checkpoints").iterdir())] == ["step-00000002", "step-00000004"]


def test_every_score_is_logged_once_for_each_evaluation(trained_run: Path) -> None:
    lines = RunFolder(path=trained_run).read_metrics()
    assert [line.step for line in lines if "eval/malformed" in line.values] == [0, 2, 4]
    assert not any("malformed" in line.values for line in lines)


def test_what_trains_and_what_was_proved_is_in_the_report(trained_run: Path) -> None:
    titles = [table["title"] for table in RunFolder(path=trained_run).read_description()["tables"]]
    assert titles == ["What trains", "Optimizer groups", "Self-test", "In force"]
    assert "changing the last suffix token moves no earlier logit" in (trained_run / "report.html").read_text()


def test_what_decays_is_said_and_in_the_report(
    tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SMALL, "training.max_steps=1", "evaluation.num_samples=1", "self_test.enabled=false"]
    finetune("train", f"runs={tmp_path}", "name=lora", *words)
    said = capsys.readouterr().err
    assert "optimizer: weight_decay=0.1 reaches no parameter that trains" in said
    finetune("train", f"runs={tmp_path}", "name=full", "peft=none", *words)
    assert "reaches no parameter" not in capsys.readouterr().err
    tables = RunFolder(path=tmp_path / "full").read_description()["tables"]
    rows = next(table["rows"] for table in tables if table["title"] == "Optimizer groups")
    assert [(part, decay) for part, _, _, decay in rows] == [
        ("image encoder", "0.1"), ("image encoder", "0"), ("connector", "0.1"), ("connector", "0"),
        ("embeddings", "0"), ("decoder", "0"),
    ]  # fmt: skip


def test_what_was_left_out_or_changed_on_purpose_is_said_and_in_the_report(
    repaired_dataset: list[str], tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("train", f"runs={tmp_path}", "name=repaired", *repaired_dataset)
    assert "left out or changed: 4 x boxes clipped to the image" in capsys.readouterr().err
    table = RunFolder(path=tmp_path / "repaired").read_description()["tables"][-1]
    assert (table["title"], table["rows"]) == ("Left out or changed", [["boxes clipped to the image", "4"]])
    report = (tmp_path / "repaired" / "report.html").read_text()
    assert "<td>boxes clipped to the image</td><td>4</td>" in report


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


def test_a_run_without_an_end_can_be_made_longer_and_is_then_the_long_run(
    tmp_path: Path, finetune: Callable[..., None]
) -> None:
    schedule = ["schedule=constant", "schedule.warmup_ratio=null", "schedule.warmup_steps=1", "self_test.enabled=false"]
    words = ["train", f"runs={tmp_path}", *SMALL, *schedule, "evaluation.before_training=false"]
    finetune(*words, "name=grown", "training.max_steps=2")
    finetune(*words, "name=grown", "training.max_steps=4", "data.row_tokens=256")
    finetune(*words, "name=long", "training.max_steps=4")
    assert losses(tmp_path / "grown") == pytest.approx(losses(tmp_path / "long"), rel=1e-5)


def test_a_run_whose_schedule_ends_says_why_it_cannot_be_made_longer(
    trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["train", f"runs={trained_run.parent}", "name=small", *SMALL, "training.max_steps=9"]) == 2
    message = capsys.readouterr().err
    assert "training.max_steps: was 4, is now 9" in message
    assert message.count("depends on the number of steps") == 1
    assert "schedule=constant" in message


@pytest.mark.parametrize(
    ("resume", "name", "words"), [("never", "small", "holds a run"), ("require", "none", "no run")]
)
def test_resume_can_forbid_and_insist(
    trained_run: Path, resume: str, name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["train", f"runs={trained_run.parent}", f"name={name}", f"resume.mode={resume}", *SMALL]) == 2
    assert words in capsys.readouterr().err


def test_a_mixture_is_trained_and_scored_part_by_part(tmp_path: Path, finetune: Callable[..., None]) -> None:
    finetune("train", f"runs={tmp_path}", "name=mix", "recipe=mixture", *SMALL, "evaluation.num_samples=2")
    scores = RunFolder(path=tmp_path / "mix").read_metrics()[-1].values
    assert {name.split("/")[1] for name in scores} == {"captions", "questions", "words", "shapes", "masks"}


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluation.best_metric=mAP5"], "best_metric=mAP5 is no score of this run"),
        (["learning_rates.embeddings=0.5"], "learning_rates.embeddings=0.5 has no effect"),
        (["tracking.log_artifact=true", "peft=none"], "tracking.log_artifact=true needs a run with peft=lora"),
        (["tracking.log_artifact=true", "peft.fully_trained=[embeddings]"], "cannot carry peft.fully_trained"),
    ],
)
def test_what_would_fail_after_training_is_refused_before_it(
    tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tracking = ["tracking=wandb", "tracking.mode=offline"] if "tracking" in words[0] else []
    assert cli.run(["train", f"runs={tmp_path}", "recipe=detection", *SMALL, *tracking, *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("identity.json"))


def test_a_run_that_stops_early_says_so_in_its_report(
    tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["recipe=detection", *SMALL, "evaluation.every_steps=1", "evaluation.num_samples=2"]
    finetune(
        "train", f"runs={tmp_path}", "name=early", *words, "evaluation.best_metric=mAP50", "evaluation.patience=1",
        "optimizer.learning_rate=1e-12",
    )  # fmt: skip
    reason = "stopped early after step 2 of 4: mAP50 did not improve for 1 evaluation (best: step 1)"
    assert reason in capsys.readouterr().err
    status = json.loads((tmp_path / "early" / "exit_status.json").read_text())
    assert status == {"kind": "done", "code": 0, "step": 2, "message": reason}
    assert reason in (tmp_path / "early" / "report.html").read_text()


# From here on: runs that end in other ways than they were meant to. One step, nothing around it.
BARE = [*SMALL, "self_test.enabled=false", "evaluation.num_samples=1", "evaluation.before_training=false"]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.disarm()


def status_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "exit_status.json").read_text())
    return content


def signalling(monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals) -> None:
    """Let a signal arrive when a run comes to a function of its own."""

    def arrive(*arguments: object, **settings: object) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(f"finetune.commands.training.{name}", arrive)


@pytest.mark.parametrize(
    ("name", "number", "code", "kind"),
    [
        ("open_session", signal.SIGTERM, 75, "preempted"),
        ("_introduce", signal.SIGUSR2, 75, "preempted"),
        ("with_caches", signal.SIGUSR1, 75, "preempted"),
        ("with_caches", signal.SIGINT, 130, "interrupted"),
    ],
    ids=["loading", "self-test", "cache", "cache-ctrl-c"],
)
def test_a_signal_before_training_ends_the_run_at_once_and_in_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: signal.Signals, code: int, kind: str
) -> None:
    signalling(monkeypatch, name, number)
    before = signal.getsignal(number)
    assert cli.run(["train", f"runs={tmp_path}", "name=early", *BARE]) == code
    status = status_of(tmp_path / "early")
    assert (status["kind"], status["code"], status["step"]) == (kind, code, None)
    assert signal.getsignal(number) is before


def test_a_signal_during_a_save_is_answered_after_it_and_the_run_goes_on_from_there(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None]
) -> None:
    words = ["train", f"runs={tmp_path}", "name=cut", "checkpoint.every_steps=2", "evaluation.every_steps=2", *SMALL]
    for number in (signal.SIGTERM, signal.SIGUSR1):
        faults.arm("optimizer.begun", lambda number=number: signal.raise_signal(number))  # type: ignore[misc]
        assert cli.run(words) == 75
        faults.disarm()
        status = status_of(tmp_path / "cut")
        assert (status["kind"], status["step"]) == ("preempted", 2 if number is signal.SIGTERM else 4)
    finetune(*words)
    assert losses(tmp_path / "cut") == losses(trained_run)


def test_a_bug_is_written_down_with_the_step_it_came_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise RuntimeError("index 7 is out of bounds")

    monkeypatch.setattr("finetune.engine.loop._report", fail)
    assert cli.run(["train", f"runs={tmp_path}", "name=bug", *BARE]) == 1
    assert status_of(tmp_path / "bug") == {
        "kind": "bug",
        "code": 1,
        "step": 0,
        "message": "index 7 is out of bounds",
    }


def test_a_setting_that_may_differ_is_recorded_and_the_run_goes_on_with_it(
    trained_run: Path, tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(trained_run, tmp_path / "small")
    shutil.rmtree(tmp_path / "small" / "checkpoints" / "step-00000004")
    words = [
        "train",
        f"runs={tmp_path}",
        "name=small",
        "evaluation.every_steps=2",
        *SMALL,
        "optimizer.learning_rate=0.02",
    ]
    assert cli.run([*words, "resume.allow=[optimizer.learning_rat]"]) == 2
    assert "optimizer.learning_rat is no setting that a run keeps" in capsys.readouterr().err
    finetune(*words, "resume.allow=[optimizer.learning_rate]")
    assert (
        "changed after step 2 (resume.allow): optimizer.learning_rate: was 0.01, is now 0.02" in capsys.readouterr().err
    )
    identity = json.loads((tmp_path / "small" / "identity.json").read_text())
    (override,) = identity["overrides"]
    assert override["step"] == 2
    assert override["changes"] == [{"setting": "optimizer.learning_rate", "was": "0.01", "now": "0.02"}]
    before, after = losses(trained_run), losses(tmp_path / "small")
    assert [before[step] == after[step] for step in (1, 2, 3, 4)] == [True, True, True, False]
    finetune(*words)


def test_a_run_that_gets_nowhere_is_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    signalling(monkeypatch, "with_caches", signal.SIGTERM)
    words = ["train", f"runs={tmp_path}", "name=stuck", "resume.max_restarts=1", *BARE]
    assert [cli.run(words) for _ in range(3)] == [75, 75, 2]
    assert "was started 2 times since it began and saved nothing new" in capsys.readouterr().err
    assert status_of(tmp_path / "stuck")["code"] == 2
    assert cli.run([*words, "resume.max_restarts=2"]) == 75


def test_a_full_disk_is_refused_before_the_first_step_or_ends_the_run_in_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", f"runs={tmp_path}", "checkpoint.every_steps=2", *BARE]
    with monkeypatch.context() as patch:
        patch.setattr("finetune.engine.checkpoint.free_bytes", lambda folder: 5 << 20)
        assert cli.run([*words, "name=none"]) == 4
    assert "no room for the checkpoints of this run" in capsys.readouterr().err
    assert status_of(tmp_path / "none")["kind"] == "disk"

    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    faults.arm("state.begun", refuse)
    assert cli.run([*words, "name=filled"]) == 4
    assert (status_of(tmp_path / "filled")["kind"], status_of(tmp_path / "filled")["step"]) == ("disk", 2)
    assert list((tmp_path / "filled" / "checkpoints").iterdir()) == []
    faults.disarm()
    calls = iter([refuse])
    faults.arm("state.begun", lambda: next(calls, lambda: None)())
    assert cli.run([*words, "name=filled", "checkpoint.on_save_error=continue"]) == 0


def test_a_report_that_cannot_be_written_ends_no_run_and_hides_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(folder: Path) -> Path:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("finetune.commands.reporting.write_report", refuse)
    assert cli.run(["train", f"runs={tmp_path}", "name=plain", *BARE, "training.max_steps=1"]) == 0
    assert "the report could not be written" in capsys.readouterr().err
