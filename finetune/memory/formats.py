"""Formats that bitsandbytes alone computes in, by their sizes: a plan needs neither it nor its kernels."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from finetune.memory.tracing import StepMemory
from finetune.peft.lora import Quantization

# Two weights a byte; a scale of 4 bytes for 64 weights, or of 1 byte and 4 more for 256 of these.
_NF4_BYTES = {Quantization.nf4: 0.5 + 4 / 64, Quantization.nf4_double: 0.5 + 1 / 64 + 4 / (64 * 256)}
_BLOCK = 256


class EightBitMoments(Optimizer):
    """Makes the states of bitsandbytes' 8-bit AdamW and changes nothing.

    Args:
        min_8bit_size: Tensors of fewer elements have moments of 4 bytes.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, min_8bit_size: int) -> None:
        super().__init__(groups, {})
        self._min_8bit_size = min_8bit_size

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = {"moments": [self._moment(parameter.numel()) for _ in range(2)]}

    def _moment(self, size: int) -> list[torch.Tensor]:
        if size < self._min_8bit_size:
            return [torch.empty(size)]
        return [torch.empty(size, dtype=torch.uint8), torch.empty(-(-size // _BLOCK))]


def in_nf4(step: StepMemory, quantized: Iterable[nn.Linear], quantization: Quantization) -> StepMemory:
    """Return what a step traced with plain linears takes with these in NF4.

    Products write one weight out at a time, in the format that it was quantised from.
    """
    weights = [linear.weight for linear in quantized]
    plain = sum(weight.numel() * weight.itemsize for weight in weights)
    packed = round(sum(weight.numel() for weight in weights) * _NF4_BYTES[quantization])
    written_out = max(weight.numel() * weight.itemsize for weight in weights)
    return replace(
        step,
        weights=step.weights - plain + packed,
        backward_peak=step.backward_peak - plain + packed + written_out,
        update_peak=step.update_peak - plain + packed,
    )
