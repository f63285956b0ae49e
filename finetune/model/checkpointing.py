"""Less memory for more arithmetic: what a layer computes again in the backward pass instead of keeping it."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

from finetune.model.compile import compiled, is_compiling_layers
from finetune.settings import Checkpointing

Run = Callable[[Tensor], Tensor]
# Of so many layers, the first is computed again.
_PERIODS = {Checkpointing.quarter: 4, Checkpointing.half: 2, Checkpointing.all: 1, Checkpointing.offload: 1}


def run_layer(layer: Run, states: Tensor, *, index: int, rung: Checkpointing) -> Tensor:
    """Run layer `index` (from 0), keeping of it what the rung says; random draws inside are the same both times."""
    if is_compiling_layers():
        layer = compiled(layer)
    period = _PERIODS.get(rung)
    if period is None or index % period or not torch.is_grad_enabled():
        return layer(states)
    if rung is not Checkpointing.offload:
        return _recomputed(layer, states)
    with save_on_cpu(pin_memory=states.is_cuda):
        return _recomputed(layer, states)


def run_block(block: Run, states: Tensor, *, rung: Checkpointing) -> Tensor:
    """Run a layer's MLP with the norm before it; with `mlp`, only its input is kept."""
    if rung is not Checkpointing.mlp or not torch.is_grad_enabled():
        return block(states)
    return _recomputed(block, states)


def _recomputed(run: Run, states: Tensor) -> Tensor:
    result: Tensor = checkpoint(run, states, use_reentrant=False)
    return result
