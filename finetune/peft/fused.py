"""peft's LoRA linear in fewer passes over memory: the same numbers to rounding, the same modules and names.

    peft                                               here
    y = x W^T                                          y = x W^T
    c = x in the adapter's format       a copy of x    h = x A^T                       [tokens, rank]
    d = dropout(c)                      another copy   y += scale * h B^T              into y itself
    y = y + (d A^T B^T) * scale         three more y

Kept for the backward pass: x (which the layers that share an input share too), h, and with dropout one byte for each
number of x. peft keeps a copy of x for each layer where formats differ, and with dropout the dropped copy besides.
"""

from collections.abc import Iterator
from types import MethodType
from typing import Any

import torch
from jaxtyping import Bool, Float
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn.functional import linear

from finetune.model.nf4 import dense_weight, is_nf4


def fuse_adapters(model: nn.Module) -> int:
    """Let every LoRA linear that can, compute in fewer passes; return how many do.

    Only `forward` changes, on the instance: classes, names and what peft saves stay. What an adapter is at the moment
    (merged, switched off, one of several) is looked at in each call, and left to peft where it is not the plain case.
    DoRA, trained base weights and other bases than `nn.Linear` and NF4 stay with peft altogether.
    """
    layers = list(_fusable(model))
    for layer in layers:
        layer.forward = MethodType(_forward, layer)
    return len(layers)


def unfuse_adapters(model: nn.Module) -> None:
    """Give peft's own forward back to what `fuse_adapters` changed, for comparisons."""
    for module in model.modules():
        if isinstance(module, LoraLayer) and getattr(module.__dict__.get("forward"), "__func__", None) is _forward:
            del module.__dict__["forward"]


def _fusable(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        if not isinstance(module, LoraLayer) or module.lora_variant or len(module.lora_A) != 1:
            continue
        base = module.get_base_layer()
        (name,) = module.lora_A
        is_plain = type(base) is nn.Linear and not base.weight.requires_grad and not module.lora_bias[name]
        if (is_plain or is_nf4(base)) and isinstance(module.lora_dropout[name], nn.Dropout | nn.Identity):
            yield module


def _forward(layer: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Stand in for the forward of peft's `lora.Linear` and `lora.Linear4bit`."""
    base, active = layer.base_layer, layer.active_adapters
    is_autocast = torch.is_autocast_enabled(x.device.type)
    dtype = torch.get_autocast_dtype(x.device.type) if is_autocast else x.dtype
    adapter = layer.lora_A[active[0]] if len(active) == 1 and active[0] in layer.lora_A else None
    # A weight without numbers is one that DeepSpeed has taken apart and gathers in the submodules' own forwards.
    is_plain_case = not (args or kwargs or layer.disable_adapters or layer.merged or base.weight.numel() == 0)
    # For few tokens, bitsandbytes multiplies by NF4 without writing the weight out.
    is_generating = is_nf4(base) and not torch.is_grad_enabled()
    if adapter is None or not is_plain_case or is_generating or not (is_autocast or _has_format(dtype, base, adapter)):
        given: Tensor = type(layer).forward(layer, x, *args, **kwargs)
        return given
    name = active[0]
    flat = x.to(dtype).flatten(0, -2)
    dropout = layer.lora_dropout[name]
    rate = dropout.p if layer.training and isinstance(dropout, nn.Dropout) else 0.0
    kept = torch.empty_like(flat, dtype=torch.bool).bernoulli_(1 - rate) if rate else None
    result: Tensor = _FusedLora.apply(  # type: ignore[no-untyped-call]
        flat, base.weight, base.bias, adapter.weight, layer.lora_B[name].weight, kept, rate, layer.scaling[name]
    )
    return result.view(*x.shape[:-1], result.shape[-1])


def _has_format(dtype: torch.dtype, base: Any, adapter: Any) -> bool:
    return adapter.weight.dtype == dtype and (is_nf4(base) or base.weight.dtype == dtype)


class _FusedLora(torch.autograd.Function):
    """y = x W^T + bias + scale * (dropped x) A^T B^T, computed in the format of x. W and the bias are frozen."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Float[Tensor, "tokens inputs"],
        weight: Tensor,
        bias: Float[Tensor, " outputs"] | None,
        down: Float[Tensor, "rank inputs"],
        up: Float[Tensor, "outputs rank"],
        kept: Bool[Tensor, "tokens inputs"] | None,
        rate: float,
        scale: float,
    ) -> Float[Tensor, "tokens outputs"]:
        down_cast, up_cast = down.to(x.dtype), up.to(x.dtype)
        hidden = linear(_dropped(x, kept, rate), down_cast)
        result = linear(x, dense_weight(weight, x.dtype), None if bias is None else bias.to(x.dtype))
        result.addmm_(hidden, up_cast.T, alpha=scale)
        ctx.save_for_backward(x, weight, down_cast, up_cast, hidden, kept)
        ctx.rate, ctx.scale, ctx.formats = rate, scale, (down.dtype, up.dtype)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        x, weight, down, up, hidden, kept = ctx.saved_tensors
        needs_x, _, _, needs_down, needs_up = ctx.needs_input_grad[:5]
        at_hidden = gradient @ up
        for_x = for_down = for_up = None
        if needs_up:
            for_up = (gradient.T @ hidden).to(ctx.formats[1]).mul_(ctx.scale)
        if needs_down:
            for_down = (at_hidden.T @ _dropped(x, kept, ctx.rate)).to(ctx.formats[0]).mul_(ctx.scale)
        if needs_x:
            for_x = gradient @ dense_weight(weight, gradient.dtype)
            if kept is None:
                for_x.addmm_(at_hidden, down, alpha=ctx.scale)
            else:
                for_x.addcmul_(at_hidden @ down, kept, value=ctx.scale / (1 - ctx.rate))
        return for_x, None, None, for_down, for_up, None, None, None


def _dropped(x: Tensor, kept: Tensor | None, rate: float) -> Tensor:
    return x if kept is None else (x * kept).mul_(1 / (1 - rate))
