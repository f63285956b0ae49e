"""What the rest of the project must know about linears whose weights are kept in NF4, without bitsandbytes loaded.

NF4 is a 4-bit format whose sixteen values lie as those of a normal distribution do; each block of 64 weights has a
scale of its own, which double quantisation keeps in 8 bits.

Source:
    Dettmers et al. 2023, "QLoRA: Efficient Finetuning of Quantized LLMs".
"""

from typing import Any

import torch
from torch import Tensor, nn


def is_nf4(module: nn.Module) -> bool:
    """Whether a linear's weight is in NF4."""
    return isinstance(module, nn.Linear) and _state_of(module.weight) is not None


def num_weights(parameter: Tensor) -> int:
    """Return how many weights a parameter stands for; in NF4 two share a byte."""
    state = _state_of(parameter)
    return parameter.numel() if state is None else int(state.shape.numel())


def dense_weight(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a weight, whether in NF4 or not, as numbers of `dtype`; the same memory where nothing is to be done.

    NF4 gives back the format that was quantised first, then `dtype`, as bitsandbytes computes.
    """
    state = _state_of(weight)
    if state is None:
        return weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    dense: Tensor = dequantize_4bit(weight.detach(), state)
    return dense.to(dtype)


def nf4_notes(model: nn.Module) -> tuple[str, ...]:
    """Say for people that a model computes with weights in NF4; nothing where none are."""
    states = [_state_of(module.weight) for module in model.modules() if isinstance(module, nn.Linear)]
    quantized = [state for state in states if state is not None]
    if not quantized:
        return ()
    scales = " with doubly quantised scales" if quantized[0].nested else ""
    return (
        f"{len(quantized)} linear layers of the decoder in NF4{scales}: adapters are trained for the base rounded so; "
        "load the base in NF4 or plain beneath them; a merged export holds the rounded weights, with adapters, in full",
    )


def _state_of(weight: Any) -> Any:
    """Return what bitsandbytes remembers beside a quantised weight; None: the weight is a plain one."""
    return getattr(weight, "quant_state", None)
