"""From the newest checkpoint that verifies into the model, with proof that it arrived there.

A state that was read without complaint and never reached the model is how others restarted from base weights with the
optimizer of step N: what the learner holds afterwards is compared with the file, bit for bit.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from finetune.engine.capture import Captured, capture, restore
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.identity import Identity, canonical_json
from finetune.engine.manifest import DamagedCheckpointError
from finetune.engine.snapshot import Snapshot
from finetune.engine.step import Learner


def restore_newest(learner: Learner, store: CheckpointStore, identity: Identity) -> Snapshot | None:
    """Put the newest checkpoint that verifies into the learner and return it; None if there is none. All ranks call it.

    The main rank chooses, every rank makes sure that it reads the same.

    Raises:
        ValueError: If no checkpoint verifies, if it is another run's, is further than this run goes, or is not what
            another rank sees.
    """
    ranks, total_steps = learner.ranks, learner.rules.total_steps
    step: int | None = ranks.on_main(store.newest)
    if step is None:
        return None
    _require_same_on_all_ranks(learner, store, step)
    snapshot = store.read(step)
    if not identity.continues(snapshot.state["identity"]):
        raise ValueError(f"{store.path(step)} was saved by a run with other settings; it cannot be continued")
    if step > total_steps:
        raise ValueError(
            f"the run has done {step} steps already, more than the {total_steps} asked for; raise training.max_steps "
            "or training.epochs"
        )
    state = snapshot.state
    restore(
        learner,
        Captured(
            trained=snapshot.trained, optimizer=snapshot.optimizer, values=state["optimizer"], scaler=state["scaler"]
        ),
    )
    held = capture(learner)
    ranks.on_main(lambda: _require_arrived(snapshot, held))
    ranks.on_main(lambda: store.set_aside_after(step))
    return snapshot


def _require_same_on_all_ranks(learner: Learner, store: CheckpointStore, step: int) -> None:
    try:
        seen = hashlib.sha256(canonical_json(asdict(store.manifest(step))).encode()).hexdigest()
    except (DamagedCheckpointError, OSError) as error:
        seen = str(error)
    found = learner.ranks.gather([seen])
    others = [str(rank) for rank, one in enumerate(found) if one != found[0]]
    if others:
        raise ValueError(
            f"{store.path(step)} is not the same for rank {', '.join(others)} as for rank 0; `runs` must name a folder "
            "that all nodes share"
        )


def _require_arrived(snapshot: Snapshot, held: Captured) -> None:
    wanted = {**_named("weight", snapshot.trained), **_named("optimizer", snapshot.optimizer)}
    found = {**_named("weight", held.trained), **_named("optimizer", held.optimizer)}
    lost = [name for name in wanted.keys() | found.keys() if not _is_same(wanted.get(name), found.get(name))]
    if lost:
        raise RuntimeError(
            f"after loading the checkpoint of step {snapshot.step}, {len(lost)} of {len(wanted)} tensors are not what "
            f"it holds, {min(lost)} among them; nothing was trained"
        )


def _named(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{kind} {name}": tensor for name, tensor in tensors.items()}


def _is_same(one: Tensor | None, other: Tensor | None) -> bool:
    """Whether both are there and the same bit for bit, NaN included."""
    if one is None or other is None or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return torch.equal(_bytes_of(one), _bytes_of(other))


def _bytes_of(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
