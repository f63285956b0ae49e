"""The part of a model that training changes: what a checkpoint holds, instead of gigabytes that never move."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """Return every parameter that trains, by its name in `named_parameters()`. The tensors share the model's memory."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def load_trained_state(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors back where `trained_state` took them, bit for bit.

    Raises:
        ValueError: If the names, shapes or formats are not exactly those that train now; nothing is changed then.
    """
    current = trained_state(model)
    _refuse_other_names(set(current), set(tensors))
    for name, tensor in tensors.items():
        if tensor.shape != current[name].shape or tensor.dtype != current[name].dtype:
            raise ValueError(
                f"the saved {name} is {_describe(tensor)}, this run trains {_describe(current[name])}; "
                "use the model and peft settings that it was saved with"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            current[name].copy_(tensor)


def _refuse_other_names(wanted: set[str], found: set[str]) -> None:
    for names, problem in ((wanted - found, "are missing from the saved state"), (found - wanted, "do not train here")):
        if names:
            raise ValueError(
                f"{len(names)} tensors {problem}, {min(names)} among them; "
                "use the peft and freeze settings that it was saved with"
            )


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
