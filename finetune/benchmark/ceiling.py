"""What the machine can do at best: one large matrix product, again and again, on random numbers."""

from dataclasses import dataclass

import torch

from finetune.benchmark.timing import clock_of, repeat
from finetune.model.dtype import to_torch_dtype
from finetune.settings import Precision

# Fills the device, and takes moments.
_SIDE = {"cuda": 8192, "cpu": 1024}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """The best of several products.

    Args:
        flops: Operations a second of the clock that counts.
        side: Of the square matrices.
    """

    precision: str
    side: int
    clock: str
    flops: float


def measure_ceiling(precision: Precision, device: torch.device) -> Ceiling:
    """Multiply for about a second, and keep the fastest."""
    side, clock = _SIDE[device.type], clock_of(device)
    first, second = (torch.randn(side, side, device=device, dtype=to_torch_dtype(precision)) for _ in range(2))
    best = min(repeat(lambda: torch.matmul(first, second), device))
    return Ceiling(precision=precision.name, side=side, clock=clock, flops=2.0 * side**3 / best)
