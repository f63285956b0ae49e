"""Every damage changes a checkpoint so that it does not verify."""

from pathlib import Path

import pytest
import torch

from finetune.chaos.corruption import DAMAGES
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.manifest import DamagedCheckpointError
from finetune.engine.snapshot import Snapshot


def saved(folder: Path) -> CheckpointStore:
    store = CheckpointStore(folder, keep_last=2, warn=lambda text: None)
    for step in (2, 4):
        tensors = {"a": torch.full((300,), float(step))}
        state = {"counters": {"step": step}, "more": "x" * step}
        store.save(Snapshot(step=step, best_step=None, trained=tensors, optimizer=tensors, state=state))
    return store


def test_there_are_ten_kinds_of_damage_or_more() -> None:
    assert len(DAMAGES) >= 10


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_found_and_the_one_before_is_taken(name: str, tmp_path: Path) -> None:
    store = saved(tmp_path)
    assert store.newest() == 4
    DAMAGES[name](store.path(4), store.path(2))
    with pytest.raises(DamagedCheckpointError):
        store.verify(4)
    store.verify(2)
    assert store.newest() == 2
