"""Gemma's norm and gated activation, which keep nothing for the backward pass but what they are given.

By the book, a norm in bf16 keeps its input a second time in fp32, and the activation its result: at the widths of
PaliGemma 1 that is 16 and 32 KiB a token and layer. Here both are computed again, from the input in its own format, by
the same operations.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu

# What a module must be for its own forward to be passed by.
_NORMS = ("GemmaRMSNorm", "Gemma2RMSNorm")
_ACTIVATIONS = ("GELUTanh", "PytorchGELUTanh")


def normalize(norm: Any, states: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows hidden"]:
    """Do what a Gemma RMSNorm module does: in fp32, with a weight that is added to 1, back in the input's format.

    Source:
        transformers models/gemma/modeling_gemma.py, `GemmaRMSNorm` (5.23.0).
    """
    if type(norm).__name__ not in _NORMS:
        called: Tensor = norm(states)
        return called
    normalized: Tensor = _RmsNorm.apply(states, norm.weight, norm.eps)  # type: ignore[no-untyped-call]
    return normalized


def run_mlp(mlp: Any, states: Float[Tensor, "*rows hidden"]) -> Float[Tensor, "*rows hidden"]:
    """Do what a Gemma MLP module does: down(gelu(gate) * up)."""
    if type(mlp.act_fn).__name__ not in _ACTIVATIONS:
        called: Tensor = mlp(states)
        return called
    activated: Tensor = _Gated.apply(mlp.gate_proj(states), mlp.up_proj(states))  # type: ignore[no-untyped-call]
    projected: Tensor = mlp.down_proj(activated)
    return projected


class _RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, states: Tensor, weight: Tensor, eps: float) -> Tensor:
        wide = states.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(states, weight, scale)
        return (wide * scale * (1.0 + weight.float())).type_as(states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        states, weight, scale = ctx.saved_tensors
        normalized = states.float() * scale
        of_result = gradient.float()
        of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (of_result * normalized).flatten(0, -2).sum(0).to(weight.dtype)
        of_normalized = of_result * (1.0 + weight.float())
        along = (of_normalized * normalized).mean(-1, keepdim=True)
        of_states = of_normalized.sub_(normalized.mul_(along)).mul_(scale).to(states.dtype)
        return of_states, of_weight, None


class _Gated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return gelu(gate, approximate="tanh") * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        of_gate = torch.ops.aten.gelu_backward(gradient * up, gate, approximate="tanh")
        return of_gate, gradient * gelu(gate, approximate="tanh")
