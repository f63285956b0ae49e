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
    refuse_other_state({name: (tensor.shape, tensor.dtype) for name, tensor in current.items()}, tensors)
    with torch.no_grad():
        for name, tensor in tensors.items():
            current[name].copy_(tensor)


def refuse_other_state(trained: Mapping[str, tuple[torch.Size, torch.dtype]], tensors: Mapping[str, Tensor]) -> None:
    """Refuse saved tensors that are not exactly what trains.

    Args:
        trained: Shape and format of each parameter that trains.

    Raises:
        ValueError: Naming one that differs.
    """
    _refuse_other_names(set(trained), set(tensors))
    for name, tensor in tensors.items():
        if (tensor.shape, tensor.dtype) != trained[name]:
            raise ValueError(
                f"the saved {name} is {_describe(tensor.shape, tensor.dtype)}, this run trains "
                f"{_describe(*trained[name])}; use the model and peft settings that it was saved with"
            )


def _refuse_other_names(wanted: set[str], found: set[str]) -> None:
    for names, problem in ((wanted - found, "are missing from the saved state"), (found - wanted, "do not train here")):
        if names:
            raise ValueError(
                f"{len(names)} tensors {problem}, {min(names)} among them; "
                "use the peft and freeze settings that it was saved with"
            )


def _describe(shape: torch.Size, dtype: torch.dtype) -> str:
    return f"{str(dtype).removeprefix('torch.')} {tuple(shape)}"
