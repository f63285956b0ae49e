"""Every rank has everything, and gradients are added up: one process, or DistributedDataParallel by accelerate."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.engine.optimizer_state import load_optimizer_state, optimizer_state
from finetune.engine.sharding.sharding import own_copy
from finetune.model.trained import load_trained_state, trained_state


class Replicated:
    """A `Sharding` that divides nothing.

    Args:
        accelerator: accelerate's `Accelerator`.
    """

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator

    def shard(self, losses: nn.Module) -> None:
        """Leave the weights where they are."""

    def connect(self, losses: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Move the module to the device; its parameters stay the same objects."""
        prepared: tuple[nn.Module, Optimizer] = self._accelerator.prepare(losses, optimizer)
        return prepared

    def accumulating(self, losses: nn.Module, *, more: bool) -> AbstractContextManager[None]:
        """Keep gradients to this rank where more micro-batches follow; the last one's backward adds up the ranks."""
        context: AbstractContextManager[None] = self._accelerator.no_sync(losses) if more else nullcontext()
        return context

    def backward(self, share: Tensor) -> None:
        """Back-propagate, scaled for fp16 where needed."""
        # DistributedDataParallel averages gradients over ranks; a sum is wanted.
        self._accelerator.backward(share * self._accelerator.num_processes)

    def clip(self, parameters: Sequence[nn.Parameter], largest_norm: float) -> float:
        """Clip by torch: after the last backward pass, every rank has the same gradients."""
        return float(self._accelerator.clip_grad_norm_(parameters, largest_norm))

    def discard(self, optimizer: Optimizer) -> None:
        """Throw gradients away; the fp16 loss scale then falls."""
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.update()
        optimizer.zero_grad()

    def whole_weights(self) -> AbstractContextManager[None]:
        """They are whole."""
        return nullcontext()

    def gather_weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Copy what trains."""
        if not self._accelerator.is_main_process:
            return {}
        return {name: own_copy(tensor) for name, tensor in trained_state(model).items()}

    def gather_memory(self, optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Copy what the optimizer remembers."""
        tensors, plain = optimizer_state(optimizer)
        if not self._accelerator.is_main_process:
            return {}, plain
        return {name: own_copy(tensor) for name, tensor in tensors.items()}, plain

    def load_weights(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Every rank puts everything back."""
        load_trained_state(model, tensors)

    def load_memory(self, optimizer: Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Every rank puts everything back."""
        load_optimizer_state(optimizer, tensors, plain)
