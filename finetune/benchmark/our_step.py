"""One step of ours with an optimizer that changes nothing: what the gates examine is what is measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.benchmark.choices import Workload
from finetune.benchmark.dimensions import Dimensions
from finetune.benchmark.variants import learner_of
from finetune.data.packing import Batch
from finetune.engine.step import Learner, train_step
from finetune.model.decoding import evaluating
from finetune.model.forward import all_states
from finetune.settings import Precision


class OurStep:
    """This project's step, through `make_learner` and `train_step`, with an optimizer that only takes notes."""

    def __init__(
        self, model: nn.Module, workload: Workload, dimensions: Dimensions, *, compile_layers: bool = False
    ) -> None:
        self._notes = _TakesNotes()
        self._learner: Learner = learner_of(
            model, workload, dimensions, self._notes, clip_norm=None, compile_layers=compile_layers
        )

    def loss(self, batch: Batch) -> float:
        return train_step(self._learner, 0, [batch]).loss

    def gradients(self, batch: Batch) -> Mapping[str, Tensor]:
        train_step(self._learner, 0, [batch])
        return self._notes.gradients

    def states(self, batch: Batch) -> Float[Tensor, "rows tokens hidden"]:
        with evaluating(self._learner.model), torch.no_grad(), self._learner.ranks.autocast():
            return all_states(self._learner.model, batch.to(self._learner.ranks.device))


class _NoUpdate(Optimizer):
    """Keeps a copy of every gradient and changes nothing."""

    def __init__(self, groups: Sequence[dict[str, Any]]) -> None:
        super().__init__(groups, {})
        self.gradients: dict[str, Tensor] = {}

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.gradients = {
            name: parameter.grad.clone()
            for group in self.param_groups
            for name, parameter in zip(group["param_names"], group["params"], strict=True)
            if parameter.grad is not None
        }


@dataclass(kw_only=True)
class _TakesNotes:
    """An optimizer choice, for `make_learner`."""

    learning_rate: float = 1.0
    weight_decay: float = 0.0
    decay_parts: list[str] = field(default_factory=list)
    decay_adapters: bool = False
    optimizer: _NoUpdate | None = None

    def check(self, trainable_dtype: Precision) -> None:
        """Nothing to refuse."""

    def build(self, groups: Sequence[dict[str, Any]]) -> Optimizer:
        self.optimizer = _NoUpdate(groups)
        return self.optimizer

    @property
    def gradients(self) -> Mapping[str, Tensor]:
        """Of the last step."""
        assert self.optimizer is not None
        return self.optimizer.gradients
