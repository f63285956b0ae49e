"""A resumed learner holds what the checkpoint holds, or nothing is trained."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from finetune.engine import resuming
from finetune.engine.capture import Captured, capture, restore
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.counters import Counters
from finetune.engine.identity import Identity, overridden
from finetune.engine.resuming import restore_newest
from finetune.engine.saving import Saver
from finetune.engine.step import Learner
from finetune.peft.lora import Lora
from finetune.reporting.reporter import SilentReporter
from finetune.settings import CheckpointSettings

IDENTITY = Identity(settings={"seed": 0})


@pytest.fixture
def learner(new_learner: Callable[..., Learner]) -> Learner:
    return new_learner(Lora(rank=2))


@pytest.fixture
def store(tmp_path: Path, learner: Learner) -> CheckpointStore:
    """Checkpoints of steps 1 and 2."""
    store = CheckpointStore(tmp_path / "checkpoints", keep_last=2, warn=lambda text: None)
    saver = Saver(store, learner, SilentReporter(), IDENTITY, CheckpointSettings())
    for step in (1, 2):
        with torch.no_grad():
            for parameter in learner.optimizer.param_groups[0]["params"]:
                parameter.add_(1.0)
        saver.save(Counters(step=step), is_last=False)
    return store


def test_the_newest_checkpoint_reaches_the_model(
    store: CheckpointStore, learner: Learner, new_learner: Callable[..., Learner]
) -> None:
    fresh = new_learner(Lora(rank=2))
    snapshot = restore_newest(fresh, store, IDENTITY)
    assert snapshot is not None
    assert snapshot.step == 2
    wanted, found = capture(learner).trained, capture(fresh).trained
    assert all(torch.equal(tensor, found[name]) for name, tensor in wanted.items())


def test_a_folder_without_checkpoints_resumes_nothing(tmp_path: Path, learner: Learner) -> None:
    empty = CheckpointStore(tmp_path / "none", keep_last=2, warn=lambda text: None)
    assert restore_newest(learner, empty, IDENTITY) is None


def test_a_state_that_does_not_arrive_is_noticed(
    store: CheckpointStore, new_learner: Callable[..., Learner], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_one(learner: Learner, captured: Captured) -> None:
        """Load everything but one tensor, as readers do that only warn about names they do not know."""
        held = capture(learner)
        name = min(captured.trained)
        restore(learner, replace(captured, trained={**captured.trained, name: held.trained[name]}))

    monkeypatch.setattr(resuming, "restore", lose_one)
    with pytest.raises(
        RuntimeError, match=r"step 2, 1 of \d+ tensors are not what it holds, weight .*nothing was trained"
    ):
        restore_newest(new_learner(Lora(rank=2)), store, IDENTITY)


def test_another_runs_checkpoint_is_refused_and_one_of_before_an_allowed_change_is_not(
    store: CheckpointStore, learner: Learner
) -> None:
    changed = Identity(settings={"seed": 1})
    with pytest.raises(ValueError, match="saved by a run with other settings"):
        restore_newest(learner, store, changed)
    assert restore_newest(learner, store, overridden(IDENTITY, changed, step=2)) is not None


def test_a_rank_that_sees_another_folder_is_named(
    store: CheckpointStore, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranks = learner.ranks
    monkeypatch.setattr(type(ranks), "gather", lambda self, values: [*values, "step-00000002/MANIFEST.json is missing"])
    with pytest.raises(ValueError, match=r"not the same for rank 1 as for rank 0; `runs` must name a folder"):
        restore_newest(learner, store, IDENTITY)


def test_newer_damaged_checkpoints_are_set_aside(store: CheckpointStore, learner: Learner) -> None:
    (store.path(2) / "MANIFEST.json").unlink()
    shutil.copytree(store.path(1), store.path(9))
    snapshot = restore_newest(learner, store, IDENTITY)
    assert snapshot is not None
    assert (snapshot.step, store.steps()) == (1, [1])
