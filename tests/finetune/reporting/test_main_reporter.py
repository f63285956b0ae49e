"""The rank that tells the story."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from finetune.reporting.description import RunDescription, RunSubject, Table
from finetune.reporting.main_reporter import MainReporter
from finetune.reporting.progress import LineProgress
from finetune.reporting.rows import PredictionRow
from finetune.reporting.run_folder import RunFolder
from finetune.reporting.trackers import NoTracker, TrackedRun

ROW = PredictionRow(sample_id="a", prefix="p", text="t", reference="r", score=None, thumbnail_jpeg=b"jpeg")


@dataclass(frozen=True, kw_only=True)
class Left:
    sample_id: str
    code: str


@dataclass(frozen=True)
class BrokenTracker:
    """A tracker that cannot even start."""

    @property
    def wants_adapter(self) -> bool:
        return False

    def start(self, run: RunDescription, folder: Path) -> TrackedRun:
        raise OSError("no network")


@pytest.fixture
def printed() -> list[str]:
    return []


@pytest.fixture
def reporter(tmp_path: Path, printed: list[str]) -> MainReporter:
    return MainReporter(RunFolder(path=tmp_path), NoTracker(), LineProgress(printed.append, seconds=0))


def description(config: dict[str, object] | None = None, config_text: str = "seed: 0\n") -> RunDescription:
    return RunDescription(
        name="cells", num_steps=4, config=config or {"seed": 0}, config_text=config_text, headline={"model": "tiny"}
    )


def test_a_run_leaves_its_files(reporter: MainReporter, tmp_path: Path, printed: list[str]) -> None:
    reporter.start(description())
    reporter.log({"loss": 2.5, "examples_per_second": 3.0}, 1)
    reporter.log({"eval/mAP": 0.25}, 1)
    reporter.log_skips([Left(sample_id="s", code="empty")], 1)
    reporter.log_predictions([ROW], 1)
    reporter.finish(0, "finished")
    folder = RunFolder(path=tmp_path)
    assert folder.read_config() == "seed: 0\n"
    assert [dict(line.values) for line in folder.read_metrics()] == [
        {"loss": 2.5, "examples_per_second": 3.0},
        {"eval/mAP": 0.25},
    ]
    assert folder.read_skips() == [{"step": 1, "sample_id": "s", "code": "empty"}]
    assert folder.read_predictions(1) == [ROW]
    assert json.loads((tmp_path / "exit_status.json").read_text(encoding="utf-8"))["code"] == 0
    assert [line.rpartition(" | ")[0] for line in printed] == ["training 1/4 | loss 2.5000 | 3.0 examples/s"]


def test_what_the_scores_are_of_is_kept_for_those_who_compare_runs(reporter: MainReporter, tmp_path: Path) -> None:
    subject = RunSubject(experiment="docvqa", model=None, image_size=112, split="val", trained_split="train")
    reporter.start(replace(description(), subject=subject))
    assert RunFolder(path=tmp_path).read_description()["subject"] == asdict(subject)
    reporter.start(description())
    assert RunFolder(path=tmp_path).read_description()["subject"] is None
    reporter.finish(0, "finished")


def test_tables_are_kept_and_replaced_by_title(reporter: MainReporter, tmp_path: Path) -> None:
    reporter.start(description())
    for row in (("old",), ("new",)):
        reporter.add_table(Table(title="What trains", columns=("part",), rows=(row,)))
    reporter.add_table(Table(title="Self-test", columns=("check",), rows=()))
    reporter.finish(0, "finished")
    tables = RunFolder(path=tmp_path).read_description()["tables"]
    assert [(table["title"], table["rows"]) for table in tables] == [("What trains", [["new"]]), ("Self-test", [])]


def test_a_resumed_run_shows_and_keeps_what_belongs_to_it(
    reporter: MainReporter, tmp_path: Path, printed: list[str]
) -> None:
    reporter.start(description())
    for step in (1, 2, 3):
        RunFolder(path=tmp_path).append_metrics({"loss": 1.0}, step)
    reporter.rewind(2)
    reporter.log({"loss": 0.5}, 3)
    reporter.finish(0, "finished")
    assert [(line.step, line.values["loss"]) for line in RunFolder(path=tmp_path).read_metrics()] == [
        (1, 1.0),
        (2, 1.0),
        (3, 0.5),
    ]
    assert [line.rpartition(" | ")[0] for line in printed] == ["training 3/4 | loss 0.5000"]


def test_a_broken_tracker_costs_one_warning(tmp_path: Path, printed: list[str]) -> None:
    reporter = MainReporter(RunFolder(path=tmp_path), BrokenTracker(), LineProgress(printed.append, seconds=0))
    reporter.start(description())
    for step in (1, 2):
        reporter.log({"eval/loss": 1.0}, step)
    reporter.finish(0, "finished")
    assert printed == ["warning: tracking is off from here on, the run goes on: OSError: no network"]
    assert len(RunFolder(path=tmp_path).read_metrics()) == 2


def test_a_disk_that_refuses_lines_costs_one_warning(
    reporter: MainReporter, tmp_path: Path, printed: list[str]
) -> None:
    reporter.start(description())
    (tmp_path / "metrics.jsonl").mkdir()
    (tmp_path / "skips.jsonl").mkdir()
    for step in (1, 2):
        reporter.log({"eval/loss": 1.0}, step)
        reporter.log_skips([Left(sample_id="s", code="empty")], step)
    reporter.finish(0, "finished")
    (warning,) = printed
    assert warning.startswith("warning: a log could not be written, the run goes on")
    assert (tmp_path / "exit_status.json").exists()


def test_secrets_of_environment_and_configuration_reach_no_file_and_no_terminal(
    reporter: MainReporter, tmp_path: Path, printed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-of-the-environment")
    config = {
        "dataset": {"path": "https://me:canary-of-an-address@host/x", "password": "canary-of-a-field"},
        "note": "canary-of-the-environment",
        "model": {"num_memory_tokens": 7},
    }
    reporter.start(description(config, "path: https://me:canary-of-an-address@host/x\npassword: canary-of-a-field\n"))
    reporter.warn("no access with canary-of-the-environment")
    reporter.finish(1, "failed at https://me:canary-of-an-address@host/x")
    written = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 3
    for text in (*written, *printed):
        assert "canary" not in text
    assert RunFolder(path=tmp_path).read_description()["config"]["model"] == {"num_memory_tokens": 7}
