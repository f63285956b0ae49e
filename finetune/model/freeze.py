"""Which parts of the model train, in which format, and how many parameters that is."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import nn

from finetune.model.nf4 import num_weights
from finetune.model.parts import Part, part_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PartCount:
    """How many parameters of one part train, adapters included."""

    part: Part
    num_trainable: int
    num_total: int


def train_parts(model: nn.Module, parts: Collection[Part]) -> None:
    """Let every parameter of `parts` train; the others keep their state."""
    for name, parameter in model.named_parameters():
        if part_of(name) in parts:
            parameter.requires_grad_(True)


def cast_trainable(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep what trains in `dtype`, in place: the same Parameter objects, so that tied weights stay tied."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)


def trainable_by_part(model: nn.Module) -> tuple[PartCount, ...]:
    """Count parameters part by part, in the order of `Part`; the tied output head is counted once."""
    trainable = dict.fromkeys(Part, 0)
    total = dict.fromkeys(Part, 0)
    for name, parameter in model.named_parameters():
        part = part_of(name)
        total[part] += num_weights(parameter)
        trainable[part] += parameter.numel() if parameter.requires_grad else 0
    return tuple(PartCount(part=part, num_trainable=trainable[part], num_total=total[part]) for part in Part)
