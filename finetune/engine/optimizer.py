"""The choice of optimizer, and which parameters it treats how.

Weight decay means what it means in torch's AdamW for all of them: each update first multiplies a weight by
(1 - learning rate * weight_decay). The original's decay is not multiplied by the learning rate; its `wd` is this
weight_decay times its learning rate (1e-6 at 1e-5 is 0.1 here).

Bytes for each trained parameter, the gradient's, of the weight's format, among them:

                                  weight  gradient  memory   together
    adamw                           4        4        8         16
    adamw, trained in bf16          2        2        4          8    loses small updates
    adamw8bit                       4        4        2         10
    adamw_bf16                      2        2        8         12    rounds stochastically
    adamw_bf16, state_dtype=bf16    2        2        4          8    rounds stochastically
    adafactor                       4        4        0          8    memory for rows and columns alone
    sgd, with momentum              4        4        4         12
    muon                            4        4       4, 8    12, 16   for matrices, for everything else
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from finetune.engine.parameter_groups import check_decay_parts
from finetune.settings import Precision, above, at_least, between

if TYPE_CHECKING:
    from torch.optim import Optimizer

ORIGINAL_DECAY_PARTS = ("image_encoder", "connector")


@runtime_checkable
class OptimizerChoice(Protocol):
    """What `conf/optimizer/*.yaml` names: a frozen dataclass of hyperparameters.

    Args:
        learning_rate: At the schedule's peak, before the multiplier of each part.
        weight_decay: As torch's AdamW means it.
        decay_parts: The parts whose kernels decay.
        decay_adapters: Whether adapters' matrices decay too, in every part.
    """

    @property
    def learning_rate(self) -> float: ...

    @property
    def weight_decay(self) -> float: ...

    @property
    def decay_parts(self) -> list[str]: ...

    @property
    def decay_adapters(self) -> bool: ...

    def check(self, trainable_dtype: Precision) -> None:
        """Refuse an optimizer that cannot run here, or not on weights of this format.

        Raises:
            ValueError: Naming the setting and what to do.
        """
        ...

    def build(self, groups: Sequence[dict[str, Any]]) -> "Optimizer":
        """Return the torch optimizer over groups of named parameters (`finetune.engine.parameter_groups`)."""
        ...


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay, all parameters in one call; the defaults of the original.

    Args:
        learning_rate: At the schedule's peak. The default suits adapters; the original fine-tunes in full at 1e-5.
        decay_parts: The parts whose kernels decay: weights of two dimensions or more, no norms, biases, embeddings.
        decay_adapters: Whether adapters' matrices decay too, in every part.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    decay_parts: list[str] = field(default_factory=lambda: list(ORIGINAL_DECAY_PARTS))
    decay_adapters: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_common(self)
        check_moments(self.beta1, self.beta2, self.epsilon)

    def check(self, trainable_dtype: Precision) -> None:
        """Nothing to refuse: torch has it."""

    def build(self, groups: Sequence[dict[str, Any]]) -> "Optimizer":
        """Return torch's AdamW."""
        import torch

        return torch.optim.AdamW(
            groups, betas=(self.beta1, self.beta2), eps=self.epsilon, fused=has_fused_kernel(groups) or None
        )


@dataclass(frozen=True, kw_only=True)
class AdamW8bit:
    """AdamW whose moments take one byte each, by bitsandbytes: a quarter of the memory.

    Args:
        learning_rate: At the schedule's peak.
        decay_parts: The parts whose kernels decay: weights of two dimensions or more, no norms, biases, embeddings.
        decay_adapters: Whether adapters' matrices decay too, in every part.
        min_8bit_size: Tensors of fewer elements keep full moments.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    decay_parts: list[str] = field(default_factory=lambda: list(ORIGINAL_DECAY_PARTS))
    decay_adapters: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    min_8bit_size: int = 4096

    def __post_init__(self) -> None:
        check_common(self)
        check_moments(self.beta1, self.beta2, self.epsilon)
        at_least("min_8bit_size", self.min_8bit_size, 1)

    def check(self, trainable_dtype: Precision) -> None:
        """Refuse to run without bitsandbytes."""
        if importlib.util.find_spec("bitsandbytes") is None:
            raise ValueError(
                "optimizer=adamw8bit needs bitsandbytes, which is not installed; "
                "run `pip install 'paligemma-finetune[bnb]'` or choose optimizer=adamw"
            )

    def build(self, groups: Sequence[dict[str, Any]]) -> "Optimizer":
        """Return bitsandbytes' AdamW8bit."""
        import bitsandbytes

        optimizer: Optimizer = bitsandbytes.optim.AdamW8bit(
            groups, betas=(self.beta1, self.beta2), eps=self.epsilon, min_8bit_size=self.min_8bit_size
        )
        return optimizer


@dataclass(frozen=True, kw_only=True)
class Adafactor:
    """Adafactor by torch: row and column sums instead of second moments, no first moment.

    Args:
        learning_rate: Of the update relative to the weight's own size, as torch means it; it also caps 1/sqrt(step).
        decay_parts: The parts whose kernels decay: weights of two dimensions or more, no norms, biases, embeddings.
        decay_adapters: Whether adapters' matrices decay too, in every part.
        beta2_decay: Exponent of the second moment's averaging window.
        clip_threshold: Largest root mean square of one tensor's update.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    decay_parts: list[str] = field(default_factory=lambda: list(ORIGINAL_DECAY_PARTS))
    decay_adapters: bool = False
    beta2_decay: float = -0.8
    clip_threshold: float = 1.0

    def __post_init__(self) -> None:
        check_common(self)
        between("beta2_decay", self.beta2_decay, -10, 0)
        at_least("clip_threshold", self.clip_threshold, 1)

    def check(self, trainable_dtype: Precision) -> None:
        """Nothing to refuse: torch has it."""

    def build(self, groups: Sequence[dict[str, Any]]) -> "Optimizer":
        """Return torch's Adafactor."""
        import torch

        return torch.optim.Adafactor(groups, beta2_decay=self.beta2_decay, d=self.clip_threshold)


@dataclass(frozen=True, kw_only=True)
class Sgd:
    """Stochastic gradient descent with momentum.

    Args:
        learning_rate: At the schedule's peak.
        decay_parts: The parts whose kernels decay: weights of two dimensions or more, no norms, biases, embeddings.
        decay_adapters: Whether adapters' matrices decay too, in every part.
    """

    learning_rate: float = 1e-2
    weight_decay: float = 0.0
    decay_parts: list[str] = field(default_factory=lambda: list(ORIGINAL_DECAY_PARTS))
    decay_adapters: bool = False
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        check_common(self)
        between("momentum", self.momentum, 0, 0.9999)
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0, got momentum=0")

    def check(self, trainable_dtype: Precision) -> None:
        """Nothing to refuse: torch has it."""

    def build(self, groups: Sequence[dict[str, Any]]) -> "Optimizer":
        """Return torch's SGD with the weight decay of AdamW."""
        import torch

        # torch's own weight_decay for SGD is added to the gradient, and so to the momentum.
        decays = [group["weight_decay"] for group in groups]
        groups = [{**group, "weight_decay": 0.0} for group in groups]
        optimizer = torch.optim.SGD(
            groups, momentum=self.momentum, nesterov=self.nesterov, fused=has_fused_kernel(groups) or None
        )

        def decay(optimizer: "Optimizer", args: object, kwargs: object) -> None:
            with torch.no_grad():
                for group, weight_decay in zip(optimizer.param_groups, decays, strict=True):
                    for parameter in group["params"] if weight_decay else ():
                        parameter.mul_(1 - group["lr"] * weight_decay)

        optimizer.register_step_pre_hook(decay)
        return optimizer


@dataclass(frozen=True, kw_only=True)
class Muon:
    """Muon for the matrices of the layers, Adam for everything else: about half the steps of AdamW from random weights.

    For training in full. Not for adapters, whose two factors are no layers, nor for fine-tuning pretrained weights,
    where AdamW is the safe choice.

    Args:
        learning_rate: Of the matrices, at the schedule's peak: how far a step moves each of their directions.
        adam_learning_rate: Of everything else, at the schedule's peak.
        decay_parts: The parts whose kernels decay: weights of two dimensions or more, no norms, biases, embeddings.
        decay_adapters: Refused where it is true: there are none.
        momentum: Of the matrices' gradients.
        beta1, beta2, epsilon: Of Adam.
    """

    learning_rate: float = 0.02
    adam_learning_rate: float = 1e-3
    weight_decay: float = 0.0
    decay_parts: list[str] = field(default_factory=lambda: list(ORIGINAL_DECAY_PARTS))
    decay_adapters: bool = False
    momentum: float = 0.95
    beta1: float = 0.9
    beta2: float = 0.98
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        check_common(self)
        above("adam_learning_rate", self.adam_learning_rate, 0)
        between("momentum", self.momentum, 0, 0.9999)
        check_moments(self.beta1, self.beta2, self.epsilon)

    def check(self, trainable_dtype: Precision) -> None:
        """Refuse to decay adapters, which it does not train.

        Raises:
            ValueError: If `decay_adapters` is true.
        """
        if self.decay_adapters:
            raise ValueError(
                "decay_adapters=true has no effect with optimizer=muon, which trains none: set it to false"
            )

    def build(self, groups: Sequence[dict[str, Any]]) -> "Optimizer":
        """Return Muon with Adam, each group split into matrices and everything else.

        Raises:
            ValueError: If adapters train.
        """
        from finetune.engine.muon import MuonWithAdam

        split = [part for group in groups for part in self._split(group)]
        return MuonWithAdam(split, momentum=self.momentum, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon)

    def _split(self, group: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield a group's matrices, then its other parameters, tables that are looked up by row among them."""
        for name, _ in group["params"]:
            if "lora_" in name:
                raise ValueError("optimizer=muon trains no adapters: choose optimizer=adamw, or peft=none")
        for is_matrix in (True, False):
            members = [
                (name, parameter)
                for name, parameter in group["params"]
                if (parameter.ndim == 2 and "embed" not in name) is is_matrix
            ]
            rate = group["peak_learning_rate"] * (1 if is_matrix else self.adam_learning_rate / self.learning_rate)
            if members:
                yield {**group, "params": members, "is_matrix": is_matrix, "peak_learning_rate": rate, "lr": rate}


def has_fused_kernel(groups: Sequence[dict[str, Any]]) -> bool:
    """Whether torch updates all these named parameters in one kernel: hundreds of small ones would take as many."""
    kinds = {parameter.device.type for group in groups for _, parameter in group["params"]}
    return kinds <= {"cpu", "cuda"}


def check_common(choice: OptimizerChoice) -> None:
    """Refuse values out of range in what every optimizer has."""
    above("learning_rate", choice.learning_rate, 0)
    at_least("weight_decay", choice.weight_decay, 0)
    check_decay_parts(choice.decay_parts)


def check_moments(beta1: float, beta2: float, epsilon: float) -> None:
    """Refuse values out of range in what every form of Adam has."""
    between("beta1", beta1, 0, 0.999999)
    between("beta2", beta2, 0, 0.999999)
    above("epsilon", epsilon, 0)
