"""Trackers that fail, in every way that they can."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from finetune.reporting import guard
from finetune.reporting.description import RunDescription
from finetune.reporting.guard import GuardedRun
from finetune.reporting.rows import PredictionRow
from finetune.reporting.trackers import TrackedRun

DESCRIPTION = RunDescription(name="r", num_steps=3, config={}, config_text="")


class Recorder:
    """A tracker and its run: remembers its calls, and raises or waits in one of them."""

    def __init__(self, failing: str = "", waiting: str = "") -> None:
        self.calls: list[tuple[object, ...]] = []
        self.released = threading.Event()
        self._failing = failing
        self._waiting = waiting

    @property
    def wants_adapter(self) -> bool:
        return False

    def start(self, run: RunDescription, folder: Path) -> TrackedRun:
        self._call("start", run.name)
        return self

    def where(self) -> str:
        self._call("where")
        return "somewhere"

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._call("log", dict(values), step)

    def log_predictions(self, rows: Sequence[PredictionRow], step: int) -> None:
        self._call("log_predictions", step)

    def log_artifact(self, folder: Path, name: str) -> None:
        self._call("log_artifact", name)

    def rewind(self, step: int) -> None:
        self._call("rewind", step)

    def finish(self, exit_code: int) -> None:
        self._call("finish", exit_code)

    def _call(self, name: str, *arguments: object) -> None:
        self.calls.append((name, *arguments))
        if name == self._waiting:
            self.released.wait(30)
        if name == self._failing:
            raise ConnectionError(f"{name} is out of order\nand here is a long story")


def follow(tracker: Recorder, folder: Path, **limits: float) -> tuple[list[str], list[str]]:
    """Do with a guarded tracker what a run does; return what was said and what was warned of."""
    said: list[str] = []
    warnings: list[str] = []
    run = GuardedRun(tracker, DESCRIPTION, folder, say=said.append, warn=warnings.append, **limits)  # type: ignore[arg-type]
    run.rewind(0)
    for step in (1, 2, 3):
        run.log({"loss": 1 / step}, step)
    run.log_predictions([], 3)
    run.log_artifact(folder, "adapter")
    run.finish(0)
    return said, warnings


def test_calls_arrive_in_order(tmp_path: Path) -> None:
    tracker = Recorder()
    said, warnings = follow(tracker, tmp_path)
    assert warnings == []
    assert said == ["tracking: somewhere"]
    assert tracker.calls == [
        ("start", "r"),
        ("where",),
        ("rewind", 0),
        ("log", {"loss": 1.0}, 1),
        ("log", {"loss": 0.5}, 2),
        ("log", {"loss": 1 / 3}, 3),
        ("log_predictions", 3),
        ("log_artifact", "adapter"),
        ("finish", 0),
    ]


@pytest.mark.parametrize("failing", ["start", "where", "rewind", "log", "log_predictions", "log_artifact", "finish"])
def test_a_tracker_that_raises_is_warned_about_once_and_then_left_alone(tmp_path: Path, failing: str) -> None:
    tracker = Recorder(failing=failing)
    _, warnings = follow(tracker, tmp_path)
    assert warnings == [f"tracking is off from here on, the run goes on: ConnectionError: {failing} is out of order"]
    assert tracker.calls[-1][0] == failing


def test_a_tracker_that_hangs_holds_up_neither_a_step_nor_the_end_for_long(tmp_path: Path) -> None:
    tracker = Recorder(waiting="log")
    started = time.monotonic()
    _, warnings = follow(tracker, tmp_path, patience_seconds=0.2)
    assert time.monotonic() - started < 5
    assert warnings == ["tracking is off from here on, the run goes on: it did not finish within 0.2 s"]
    tracker.released.set()


def test_what_a_hanging_tracker_leaves_waiting_is_limited(tmp_path: Path) -> None:
    tracker = Recorder(waiting="start")
    _, warnings = follow(tracker, tmp_path, patience_seconds=0.01, longest_queue=2)
    assert warnings == ["tracking is off from here on, the run goes on: 2 calls wait for it"]
    tracker.released.set()


def test_a_run_that_a_scheduler_ends_does_not_wait_long_for_a_tracker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_HURRIED_SECONDS", 0.2)
    tracker, warnings = Recorder(waiting="log"), list[str]()
    run = GuardedRun(tracker, DESCRIPTION, tmp_path, say=print, warn=warnings.append)
    run.log({"loss": 1.0}, 1)
    run.finish(75)
    assert warnings == ["tracking is off from here on, the run goes on: it did not finish within 0.2 s"]
    tracker.released.set()
