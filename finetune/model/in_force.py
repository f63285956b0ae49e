"""What a model really computes with: soft-caps, windows and number formats, in words."""

from typing import Any

import torch
from torch import nn

from finetune.model.attention_plan import describe_kernels
from finetune.model.decoder import attention_dtype, attention_soft_cap, language_model
from finetune.model.parts import part_of

_NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
# The bytes of quantised weights, which no product is computed in.
_NF4_BYTES = torch.uint8


def describe(model: nn.Module) -> tuple[str, ...]:
    """Say what is in force in our forward, next to what the configuration asks for. One sentence each."""
    decoder = language_model(model)
    layers = [layer.self_attn for layer in decoder.layers]
    caps = sorted({_number(attention_soft_cap(attention)) for attention in layers})
    scales = sorted({f"{attention.scaling:.4g}" for attention in layers})
    return (
        f"attention soft-cap: {', '.join(caps)}; query scale {', '.join(scales)}; {len(layers)} decoder layers",
        f"attention kernels: {_kernels(model)}",
        f"final logit soft-cap: never applied here; the configuration says {_final_soft_cap(decoder)}",
        f"sliding windows: never applied here; the configuration has them in {_num_windowed(layers)} layers",
        f"weights: {_weight_formats(model)}",
        f"computing in {computing_format(model)}",
    )


def computing_format(model: nn.Module) -> str:
    """Return the coarsest format that takes part in a forward now: "fp32", "tf32", "fp16" or "bf16"."""
    device = next(model.parameters()).device.type
    formats = {_NAMES[parameter.dtype] for parameter in model.parameters() if parameter.dtype != _NF4_BYTES}
    if torch.is_autocast_enabled(device):
        formats.add(_NAMES[torch.get_autocast_dtype(device)])
    if device == "cuda" and torch.get_float32_matmul_precision() != "highest":
        formats.add("tf32")
    return next(name for name in ("bf16", "fp16", "tf32", "fp32") if name in formats)


def _kernels(model: nn.Module) -> str:
    device = next(model.parameters()).device
    return describe_kernels(
        device, attention_dtype(model), attention_soft_cap(language_model(model).layers[0].self_attn)
    )


def _weight_formats(model: nn.Module) -> str:
    formats: dict[str, set[str]] = {}
    for name, parameter in model.named_parameters():
        suffix = " trained" if parameter.requires_grad else " frozen"
        kept = "nf4" if parameter.dtype == _NF4_BYTES else _NAMES[parameter.dtype]
        formats.setdefault(part_of(name).value, set()).add(kept + suffix)
    return "; ".join(f"{part} {' and '.join(sorted(found))}" for part, found in formats.items())


def _num_windowed(layers: list[Any]) -> int:
    return sum(getattr(attention, "sliding_window", None) is not None for attention in layers)


def _final_soft_cap(decoder: Any) -> str:
    return _number(getattr(decoder.config, "final_logit_softcapping", None))


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
