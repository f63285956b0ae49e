"""What every way of training a model has in common."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from finetune.settings import PartFlags, Precision

if TYPE_CHECKING:
    from torch import nn


@runtime_checkable
class PeftMethod(Protocol):
    """What `conf/peft/*.yaml` names: a frozen dataclass that chooses what trains."""

    def check(self, freeze: PartFlags) -> None:
        """Refuse settings that contradict one another.

        Raises:
            ValueError: Naming them.
        """
        ...

    def apply(self, model: "nn.Module", freeze: PartFlags, trainable_dtype: Precision) -> None:
        """Let what is chosen train, in `trainable_dtype`. In place; all parameters arrive frozen."""
        ...
