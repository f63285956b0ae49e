"""Where a GPU takes memory otherwise than the CPU that a step is traced as.

Its kernels keep queries, keys, values, the result and one number for each query and head, as torch's flash kernel for
the CPU does; with a soft-cap too, where the CPU writes the scores out. And what is offloaded leaves it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


class HostIsElsewhere(TorchFunctionMode):
    """Tell of every tensor that moves to the host; on a CPU, it would be the one that moved.

    Works in the forward alone, where offloading happens. What comes back for one layer at a time is not told.
    """

    def __init__(self, disregard: Callable[[Tensor], None]) -> None:
        super().__init__()
        self._disregard = disregard

    def __torch_function__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Make a tensor that lies elsewhere; call all other functions."""
        if function is not Tensor.cpu:
            return function(*args, **(kwargs or {}))
        moved = torch.empty_like(args[0])
        self._disregard(moved)
        return moved


def take_soft_caps_away(model: nn.Module) -> None:
    """Let Gemma 2's attention ask for a fused kernel: FlexAttention applies the cap without holding the scores."""
    for module in model.modules():
        if hasattr(module, "attn_logit_softcapping"):
            module.attn_logit_softcapping = None  # type: ignore[assignment]
