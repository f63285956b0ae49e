"""An optimizer's memory as tensors and plain values by parameter name, and back: no pickle, nothing left out.

    tensors   {"decoder.layers.0.mlp.up_proj.weight|exp_avg": tensor, ...}
    plain     {"parameters": ["decoder.layers.0.mlp.up_proj.weight", ...],
               "values": {"decoder.layers.0.mlp.up_proj.weight|step": 12, ...}}

Hyperparameters are not kept: the settings own them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

_SEPARATOR = "|"


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take apart what the optimizer remembers; the tensors share its memory."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    named = named_parameters(optimizer)
    for name, parameter in named.items():
        # Not `state_dict()`, in which bitsandbytes nests a part of it.
        for key, value in optimizer.state.get(parameter, {}).items():
            entry = entry_of(name, key)
            if isinstance(value, Tensor):
                tensors[entry] = value
            else:
                assert value is None or isinstance(value, int | float | str), f"{entry} is {type(value).__name__}"
                values[entry] = value
    return tensors, {"parameters": list(named), "values": values}


def load_optimizer_state(
    optimizer: Optimizer,
    tensors: Mapping[str, Tensor],
    plain: Mapping[str, Any],
    *,
    place: Callable[[Tensor, Tensor], Tensor] = lambda tensor, parameter: tensor,
) -> None:
    """Put back what `optimizer_state` returned.

    Args:
        place: Takes a tensor and the parameter that it belongs to; returns what the optimizer shall have of it.

    Raises:
        ValueError: If the parameters are not exactly those that the optimizer trains now.
    """
    named = named_parameters(optimizer)
    refuse_other_parameters(plain["parameters"], list(named))
    numbers = {name: number for number, name in enumerate(named)}
    state: dict[int, dict[str, Any]] = {}
    for entry, value in (*tensors.items(), *plain["values"].items()):
        name, key = split_entry(entry)
        kept = place(value, named[name]) if isinstance(value, Tensor) else value
        state.setdefault(numbers[name], {})[key] = kept
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def refuse_other_parameters(saved: Sequence[str], trained: Sequence[str]) -> None:
    """Refuse the memory of an optimizer that trained something else.

    Raises:
        ValueError: Naming one of the parameters that differ.
    """
    if changed := sorted(set(saved) ^ set(trained)):
        raise ValueError(
            f"the saved optimizer trained other parameters: {len(changed)} differ, {changed[0]} among them; "
            "use the peft and freeze settings that it was saved with"
        )


def entry_of(name: str, key: str) -> str:
    """Return what a parameter's tensor or value is saved as."""
    return f"{name}{_SEPARATOR}{key}"


def split_entry(entry: str) -> tuple[str, str]:
    """Return the parameter's name and the key that `entry_of` put together."""
    name, _, key = entry.rpartition(_SEPARATOR)
    return name, key


def named_parameters(optimizer: Optimizer) -> dict[str, nn.Parameter]:
    """Return the parameters by name, in the order in which the optimizer numbers them."""
    return {
        name: parameter
        for group in optimizer.param_groups
        for name, parameter in zip(group["param_names"], group["params"], strict=True)
    }
