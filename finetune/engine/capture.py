"""What a checkpoint holds of a learner, taken and put back by all ranks together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from finetune.engine.optimizer_state import load_optimizer_state, optimizer_state
from finetune.engine.step import Learner
from finetune.model.trained import load_trained_state, trained_state


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
    """Return the learner's state. Every rank calls it; what the main rank gets is whole."""
    tensors, values = optimizer_state(learner.optimizer)
    return Captured(
        trained=trained_state(learner.model),
        optimizer=tensors,
        values=values,
        scaler=learner.ranks.scaler_state(),
    )


def restore(learner: Learner, captured: Captured) -> None:
    """Put a state back, bit for bit. Every rank calls it with the same whole state.

    Raises:
        ValueError: If it is not one of what trains here.
    """
    load_trained_state(learner.model, captured.trained)
    load_optimizer_state(learner.optimizer, captured.optimizer, captured.values)
    learner.ranks.load_scaler_state(dict(captured.scaler))
