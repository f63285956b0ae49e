"""A checkpoint's files are read as they were written, by this version and by all later ones.

`tests/assets/checkpoints/<format>/` holds a run of an earlier version, stopped after step 3 of 6 on the learner below:
its checkpoint, the sha256 of each tensor and the losses of the six steps as that version computed them. Nothing in it
is ever changed. A new format gets a folder of its own, which this writes and then tests:

    FREEZE_CHECKPOINT=format-2 pytest tests/finetune/engine/test_snapshot.py -k frozen
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from torch import Tensor

from finetune.data.packing import Batch
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.counters import Counters
from finetune.engine.identity import Identity
from finetune.engine.manifest import DamagedCheckpointError, read_manifest
from finetune.engine.resuming import restore_newest
from finetune.engine.saving import Saver
from finetune.engine.snapshot import (
    TRAINED,
    Snapshot,
    read_snapshot,
    read_state,
    rewrite_state,
    verify_snapshot,
    write_snapshot,
)
from finetune.engine.step import Learner, train_step
from finetune.peft.full import FullFineTuning
from finetune.reporting.reporter import SilentReporter
from finetune.settings import CheckpointSettings, PartFlags
from finetune.types import TokenizedExample

ASSETS = Path(__file__).parents[2] / "assets" / "checkpoints"
IDENTITY = Identity(settings={"seed": 7})
FROZEN_STEP, LAST_STEP = 3, 6

TrainSteps = Callable[[Learner, range], list[float]]


@pytest.fixture
def learner(new_learner: Callable[..., Learner]) -> Learner:
    """Eight hundred weights that train: the connector's."""
    return new_learner(FullFineTuning(), freeze=PartFlags(image_encoder=True, embeddings=True, decoder=True))


@pytest.fixture
def train_steps(random_examples: Callable[..., list[TokenizedExample]], batch_of: Callable[..., Batch]) -> TrainSteps:
    """Do the steps of these numbers on two examples each, and return their losses."""

    def train(learner: Learner, steps: range) -> list[float]:
        learner.losses.train()
        return [train_step(learner, step, [batch_of(random_examples(2, seed=step))]).loss for step in steps]

    return train


def store_in(folder: Path) -> CheckpointStore:
    return CheckpointStore(folder, keep_last=2, warn=lambda text: None)


def fingerprints(snapshot: Snapshot) -> dict[str, str]:
    def one(tensor: Tensor) -> str:
        content = f"{tensor.dtype} {tuple(tensor.shape)} {tensor.reshape(-1).view(torch.uint8).tolist()}"
        return hashlib.sha256(content.encode()).hexdigest()

    return {name: one(tensor) for name, tensor in sorted({**snapshot.trained, **snapshot.optimizer}.items())}


def freeze(folder: Path, learner: Learner, train_steps: TrainSteps) -> None:
    """Write what this version does, for later ones to be held to."""
    store = store_in(folder)
    losses = train_steps(learner, range(FROZEN_STEP))
    Saver(store, learner, SilentReporter(), IDENTITY, CheckpointSettings()).save(
        Counters(step=FROZEN_STEP, num_examples=2 * FROZEN_STEP), is_last=True
    )
    losses += train_steps(learner, range(FROZEN_STEP, LAST_STEP))
    expected = {"losses": losses, "tensors": fingerprints(store.read(FROZEN_STEP))}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


def test_a_frozen_checkpoint_of_every_format_loads_and_goes_on(
    tmp_path: Path, learner: Learner, new_learner: Callable[..., Learner], train_steps: TrainSteps
) -> None:
    if wanted := os.environ.get("FREEZE_CHECKPOINT"):
        freeze(ASSETS / wanted, learner, train_steps)
    formats = sorted(ASSETS.iterdir())
    assert formats
    for frozen in formats:
        folder = tmp_path / frozen.name
        shutil.copytree(frozen, folder)
        expected = json.loads((folder / "expected.json").read_text())
        fresh = new_learner(FullFineTuning(), freeze=PartFlags(image_encoder=True, embeddings=True, decoder=True))
        snapshot = restore_newest(fresh, store_in(folder), IDENTITY)
        assert snapshot is not None
        assert fingerprints(snapshot) == expected["tensors"]
        assert Counters(**snapshot.state["counters"]).num_examples == 2 * FROZEN_STEP
        losses = train_steps(fresh, range(FROZEN_STEP, LAST_STEP))
        assert losses == pytest.approx(expected["losses"][FROZEN_STEP:], rel=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint's folder."""
    snapshot = Snapshot(
        step=3,
        best_step=None,
        trained={"weight": torch.ones(2, 3)},
        optimizer={"weight|exp_avg": torch.zeros(2, 3)},
        state={"counters": asdict(Counters(step=3))},
    )
    write_snapshot(tmp_path, snapshot)
    return tmp_path


def test_a_snapshot_is_read_as_it_was_written_and_said_anew(folder: Path) -> None:
    verify_snapshot(folder, 3)
    assert read_state(folder)["counters"]["step"] == 3
    rewrite_state(folder, 3, {"counters": {"step": 3, "evaluated_step": 3}})
    manifest = verify_snapshot(folder, 3)
    assert manifest.best_step == 3
    snapshot = read_snapshot(folder)
    assert snapshot.state == {"counters": {"step": 3, "evaluated_step": 3}}
    assert snapshot.num_bytes == 48
    assert [name for name in read_manifest(folder).files if name.startswith("state-")]


def test_half_a_restatement_is_no_damage_and_goes_with_the_next(folder: Path) -> None:
    (folder / "state-0a1b2c3d.json").write_text("{")
    (folder / ".MANIFEST.json.partial").write_text("{")
    verify_snapshot(folder, 3)
    rewrite_state(folder, None, {})
    assert len(list(folder.iterdir())) == 4


def test_what_lies_in_a_checkpoint_and_is_not_of_it_is_damage_but_not_what_a_file_system_hides_there(
    folder: Path,
) -> None:
    (folder / ".nfs0001").write_text("")
    verify_snapshot(folder, 3)
    (folder / "adapter.safetensors").write_text("")
    with pytest.raises(DamagedCheckpointError, match=r"adapter\.safetensors was not written there by a run"):
        verify_snapshot(folder, 3)


def test_another_steps_folder_is_refused_and_sizes_alone_can_be_compared(folder: Path) -> None:
    with pytest.raises(DamagedCheckpointError, match="manifest of step 3"):
        verify_snapshot(folder, 4)
    content = bytearray((folder / TRAINED).read_bytes())
    content[-1] ^= 1
    (folder / TRAINED).write_bytes(content)
    verify_snapshot(folder, 3, hashes=False)
    with pytest.raises(DamagedCheckpointError, match="other content"):
        verify_snapshot(folder, 3)
