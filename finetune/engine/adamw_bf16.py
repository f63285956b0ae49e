"""The choice of AdamW on weights in bfloat16, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from finetune.engine.optimizer import ORIGINAL_DECAY_PARTS, check_common, check_moments
from finetune.settings import Precision, at_least

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True)
class AdamWBf16:
    """AdamW that keeps trained weights in bf16 and rounds updates stochastically: half of AdamW's memory or less.

    For full fine-tuning where memory is short. Adapters are so small that float32 costs them nothing.

    Args:
        learning_rate: At the schedule's peak. The original fine-tunes in full at 1e-5.
        decay_parts: The parts whose kernels decay: weights of two dimensions or more, no norms, biases, embeddings.
        decay_adapters: Whether adapters' matrices decay too, in every part.
        state_dtype: What the two moments are kept in, fp32 or bf16; in bf16 they are rounded stochastically too.
        rounding_seed: Decides which way numbers are rounded.
    """

    learning_rate: float = 1e-5
    weight_decay: float = 0.1
    decay_parts: list[str] = field(default_factory=lambda: list(ORIGINAL_DECAY_PARTS))
    decay_adapters: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    state_dtype: Precision = Precision.fp32
    rounding_seed: int = 0

    def __post_init__(self) -> None:
        check_common(self)
        check_moments(self.beta1, self.beta2, self.epsilon)
        at_least("rounding_seed", self.rounding_seed, 0)
        if self.state_dtype is Precision.fp16:
            raise ValueError("state_dtype must be fp32 or bf16, got fp16, which second moments are too small for")

    def check(self, trainable_dtype: Precision) -> None:
        """Refuse trained weights in another format.

        Raises:
            ValueError: If they are not kept in bf16.
        """
        if trainable_dtype is not Precision.bf16:
            raise ValueError(
                f"optimizer=adamw_bf16 trains weights in bf16, got model.trainable_dtype={trainable_dtype.name}; "
                "set it to bf16, or choose optimizer=adamw"
            )

    def build(self, groups: Sequence[dict[str, Any]]) -> "Optimizer":
        """Return the optimizer of `finetune.engine.stochastic_rounding`."""
        import torch

        from finetune.engine.stochastic_rounding import AdamWBf16Optimizer

        return AdamWBf16Optimizer(
            groups,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            states=torch.bfloat16 if self.state_dtype is Precision.bf16 else torch.float32,
            seed=self.rounding_seed,
        )
