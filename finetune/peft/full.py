"""Full fine-tuning: every part trains, except those that are frozen."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.model.parts import Part
from finetune.settings import PartFlags, Precision

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class FullFineTuning:
    """Train the weights themselves."""

    def check(self, freeze: PartFlags) -> None:
        """Refuse to train nothing.

        Raises:
            ValueError: If every part is frozen.
        """
        if not _trained_parts(freeze):
            raise ValueError("freeze.* freezes every part and peft=none adds nothing: set one of them to false")

    def apply(self, model: "nn.Module", freeze: PartFlags, trainable_dtype: Precision) -> None:
        """Let the parts that are not frozen train, in `trainable_dtype`. In place; all parameters arrive frozen."""
        from finetune.model.dtype import to_torch_dtype
        from finetune.model.freeze import cast_trainable, train_parts

        self.check(freeze)
        train_parts(model, _trained_parts(freeze))
        cast_trainable(model, to_torch_dtype(trainable_dtype))


def _trained_parts(freeze: PartFlags) -> list[Part]:
    return [part for part in Part if not getattr(freeze, part.name)]
