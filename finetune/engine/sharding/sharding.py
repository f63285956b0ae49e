"""What all ways of dividing a learner among ranks have in common."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a sharding needs to know of the ranks, which are connected already.

    Args:
        computing: Entered to compute in the run's precision.
    """

    rank: int
    world_size: int
    device: torch.device
    computing: Callable[[], AbstractContextManager[None]]


@runtime_checkable
class Sharding(Protocol):
    """A way to divide a module that returns its share of the loss, and its optimizer, among connected ranks.

    Every rank calls everything in the same order. `shard` comes first, then an optimizer is built over the parameters
    that the module has then, then `connect`.
    """

    def shard(self, losses: nn.Module) -> None:
        """Divide the weights, in place; parameters may become other objects."""
        ...

    def connect(self, losses: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
        """Connect gradients across ranks; return what to call and to step instead of what was given."""
        ...

    def accumulating(self, losses: nn.Module, *, more: bool) -> AbstractContextManager[None]:
        """Enclose forward and backward of a micro-batch, after which `more` follow or not."""
        ...

    def backward(self, share: Tensor) -> None:
        """Back-propagate this rank's share of a loss that is a sum over ranks."""
        ...

    def clip(self, parameters: Sequence[nn.Parameter], largest_norm: float) -> float:
        """Scale gradients down to a global norm over all ranks; return the norm that they had."""
        ...

    def discard(self, optimizer: Optimizer) -> None:
        """Throw away gradients that must not be used."""
        ...

    def whole_weights(self) -> AbstractContextManager[None]:
        """Let every rank have all weights inside the block, to compute with and not to change."""
        ...

    def gather_weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Return what trains, whole, by name, as CPU tensors of the caller's own; on the main rank alone."""
        ...

    def gather_memory(self, optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return what the optimizer remembers, as `finetune.engine.optimizer_state` has it, whole.

        Tensors are CPU tensors of the caller's own, on the main rank alone; plain values are there on every rank.
        """
        ...

    def load_weights(self, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Put whole weights back, which every rank gives alike. Raises as `load_trained_state`."""
        ...

    def load_memory(self, optimizer: Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Put an optimizer's whole memory back, which every rank gives alike. Raises as `load_optimizer_state`."""
        ...


def clip_shares(shares: Sequence[Tensor], largest_norm: float) -> float:
    """Scale this rank's shares of gradients down to a global norm over all ranks, and return the norm that they had.

    As torch's `clip_grad_norm_` does with whole gradients; each number of a gradient is on one rank.
    """
    device = shares[0].device if shares else torch.device("cpu")
    squares = [torch.linalg.vector_norm(share.float()).double().square() for share in shares if share.numel()]
    total = torch.stack(squares).sum() if squares else torch.zeros((), dtype=torch.float64, device=device)
    torch.distributed.all_reduce(total)
    norm = float(total.sqrt())
    factor = min(1.0, largest_norm / (norm + 1e-6))
    # A norm that is not finite is for the caller to judge; the gradients are not used then.
    if factor < 1.0:
        for share in shares:
            share.mul_(factor)
    return norm


def own_copy(tensor: Tensor) -> Tensor:
    """Return a CPU tensor that shares memory with nothing; what is empty would be lost weights."""
    assert tensor.numel(), "a share was taken for the whole"
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
