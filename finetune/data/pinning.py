"""Memory that a GPU reads by itself, while the host and the GPU's cores do other things."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def pinned(value: Any) -> Any:
    """Return a value with every tensor in it, at any depth of dataclasses, lists and tuples, in pinned memory."""
    if isinstance(value, Tensor):
        return value.pin_memory()
    if isinstance(value, (list, tuple)):
        return type(value)(pinned(one) for one in value)
    if is_dataclass(value) and not isinstance(value, type):
        held = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return replace(value, **{name: pinned(one) for name, one in held.items()})
    return value
