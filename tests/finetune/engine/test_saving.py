"""Saves beside training are the same saves: nothing is lost, hidden or mixed up because of the thread."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from finetune.engine import faults, saving
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.counters import Counters
from finetune.engine.identity import Identity
from finetune.engine.saving import Saver
from finetune.engine.step import Learner
from finetune.engine.stops import DiskError, DiskFullError
from finetune.model.trained import trained_state
from finetune.peft.lora import Lora
from finetune.reporting.reporter import SilentReporter
from finetune.settings import CheckpointSettings, OnSaveError


class Notes(SilentReporter):
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.warned: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.warned.append(text)


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def learner(new_learner: Callable[..., Learner]) -> Learner:
    return new_learner(Lora(rank=2))


@pytest.fixture
def store(tmp_path: Path, notes: Notes) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints", keep_last=2, warn=notes.warn)


@pytest.fixture
def new_saver(store: CheckpointStore, learner: Learner, notes: Notes) -> Callable[..., Saver]:
    def make(*, asynchronous: bool | None = True, goes_on: bool = False) -> Saver:
        on_save_error = OnSaveError["continue"] if goes_on else OnSaveError.stop
        settings = CheckpointSettings(asynchronous=asynchronous, on_save_error=on_save_error)
        return Saver(store, learner, notes, Identity(settings={"seed": 0}), settings)

    return make


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds every save up before its first byte until it is set."""
    opened = threading.Event()
    faults.arm("trained.before", lambda: opened.wait(30) or None)
    yield opened
    opened.set()


def fill_disk(point: str = "optimizer.begun") -> None:
    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    faults.arm(point, refuse)


def change(learner: Learner, value: float) -> None:
    with torch.no_grad():
        for tensor in trained_state(learner.model).values():
            tensor.fill_(value)


def values(store: CheckpointStore, step: int) -> set[float]:
    return {float(tensor.flatten()[0]) for tensor in store.load(step).trained.values()}


def test_training_goes_on_while_a_checkpoint_is_written_and_does_not_change_it(
    new_saver: Callable[..., Saver], store: CheckpointStore, learner: Learner, gate: threading.Event, notes: Notes
) -> None:
    saver = new_saver()
    change(learner, 1.0)
    saver.save(Counters(step=1), is_last=False)
    change(learner, 2.0)
    assert store.steps() == []
    gate.set()
    saver.settle()
    assert values(store, 1) == {1.0}
    assert notes.said[0].startswith("checkpoint: step 1, 0 MiB, saved in ")
    assert "beside training, which waited 0." in notes.said[0]


def test_one_save_is_in_flight_at_most_and_the_last_one_is_there_when_it_returns(
    new_saver: Callable[..., Saver], store: CheckpointStore, learner: Learner, gate: threading.Event
) -> None:
    saver = new_saver()
    change(learner, 1.0)
    saver.save(Counters(step=1), is_last=False)
    change(learner, 2.0)
    threading.Timer(0.2, gate.set).start()
    saver.save(Counters(step=2), is_last=True)
    assert store.steps() == [2, 1]
    assert values(store, 2) == {2.0}


@pytest.mark.parametrize(("large_bytes", "is_beside"), [(0, True), (1 << 30, False)])
def test_size_decides_where_nobody_does(
    new_saver: Callable[..., Saver], monkeypatch: pytest.MonkeyPatch, notes: Notes, large_bytes: int, is_beside: bool
) -> None:
    monkeypatch.setattr(saving, "_LARGE_BYTES", large_bytes)
    saver = new_saver(asynchronous=None)
    saver.save(Counters(step=1), is_last=False)
    saver.settle()
    assert ("beside training" in notes.said[0]) == is_beside


def test_what_an_evaluation_adds_waits_for_the_tensors_and_leaves_them_alone(
    new_saver: Callable[..., Saver], store: CheckpointStore, learner: Learner, gate: threading.Event
) -> None:
    saver = new_saver()
    change(learner, 1.0)
    saver.save(Counters(step=1), is_last=False)
    change(learner, 2.0)
    threading.Timer(0.2, gate.set).start()
    saver.save(Counters(step=1, evaluated_step=1, best_step=1), is_last=False)
    loaded = store.load(1)
    assert (loaded.best_step, loaded.state["counters"]["evaluated_step"]) == (1, 1)
    assert loaded.state["optimizer"]["parameters"]
    assert values(store, 1) == {1.0}


def test_a_save_that_fails_beside_training_is_known_at_the_next_step_and_raised_there(
    new_saver: Callable[..., Saver], store: CheckpointStore
) -> None:
    saver = new_saver()
    fill_disk()
    saver.save(Counters(step=1), is_last=False)
    saver.close()
    assert saver.has_failed()
    with pytest.raises(DiskFullError, match="No space left"):
        saver.settle()
    assert store.steps() == []


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_may_go_on_without_a_checkpoint_but_not_end_without_its_last(
    new_saver: Callable[..., Saver], store: CheckpointStore, notes: Notes, asynchronous: bool
) -> None:
    saver = new_saver(asynchronous=asynchronous, goes_on=True)
    fill_disk()
    saver.save(Counters(step=1), is_last=False)
    saver.settle()
    assert len(notes.warned) == 1
    assert notes.warned[0].startswith("a checkpoint was not saved, the run goes on (checkpoint.on_save_error): no room")
    with pytest.raises(DiskFullError):
        saver.save(Counters(step=1), is_last=True)
    faults.disarm()
    saver.save(Counters(step=1), is_last=True)
    assert store.newest() == 1


def test_what_is_no_error_of_the_disk_is_never_passed_over(new_saver: Callable[..., Saver]) -> None:
    def fail() -> None:
        raise RuntimeError("a bug of ours")

    saver = new_saver(goes_on=True)
    faults.arm("trained.begun", fail)
    saver.save(Counters(step=1), is_last=False)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        saver.save(Counters(step=2), is_last=False)


def test_a_disk_without_room_for_all_checkpoints_is_refused_before_training(
    new_saver: Callable[..., Saver], store: CheckpointStore, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    saver = new_saver()
    saver.require_room(keeps_best=True)
    # Three checkpoints of next to nothing, and 4 MiB of folder entries, headers and the like with each.
    monkeypatch.setattr("finetune.engine.checkpoint.free_bytes", lambda folder: 11 << 20)
    with pytest.raises(DiskFullError, match=r"checkpoints: 3 more of 0 MiB need 12 MiB, 11 MiB are free.*runs="):
        saver.require_room(keeps_best=False)
    assert list(store.folder.iterdir()) == []
    new_saver(goes_on=True).require_room(keeps_best=False)
    assert len(notes.warned) == 1
    saver.save(Counters(step=1), is_last=True)
    saver.require_room(keeps_best=False)


def test_a_folder_that_cannot_be_written_is_refused_before_training(
    new_saver: Callable[..., Saver], store: CheckpointStore
) -> None:
    store.folder.parent.joinpath("checkpoints").write_text("not a folder")
    with pytest.raises(DiskError, match="nothing can be saved in"):
        new_saver().require_room(keeps_best=False)
