"""What a checkpoint holds of a learner, taken and put back by all ranks together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from finetune.engine.step import Learner


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A learner's state as it was between two steps.

    Args:
        trained: The parameters that train, by name.
        optimizer: The optimizer's tensors, by parameter.
        values: The optimizer's plain values, as JSON.
        scaler: The fp16 loss scaling's, as JSON.
    """

    trained: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    values: Mapping[str, Any]
    scaler: Mapping[str, float]


def capture(learner: Learner) -> Captured:
    """Return the learner's state: on the main rank whole, as CPU tensors of the caller's own; elsewhere no tensors.

    Every rank calls it, however weights are divided among them.
    """
    weights, (memory, values) = learner.ranks.gather_state(learner.model, learner.optimizer)
    return Captured(trained=weights, optimizer=memory, values=values, scaler=learner.ranks.scaler_state())


def restore(learner: Learner, captured: Captured) -> None:
    """Put a state back, bit for bit. Every rank calls it with the same whole state, and takes what it needs of it.

    Raises:
        ValueError: If it is not one of what trains here.
    """
    learner.ranks.load_state(learner.model, learner.optimizer, captured.trained, (captured.optimizer, captured.values))
    learner.ranks.load_scaler_state(dict(captured.scaler))
