"""The choice of how processes share a run: what each of them holds, and how long they wait for one another.

Held by each of N ranks, of the weights, and of the gradients and the optimizer's memory for what trains:

                weights    gradients    memory
    single      whole      whole        whole      one process; an error if the launcher started more
    ddp         whole      whole        whole      each rank computes its part of the window
    zero2       whole      1/N          1/N        DeepSpeed
    zero3       1/N        1/N          1/N        DeepSpeed; a layer is whole while it computes
    fsdp2       1/N        1/N          1/N        torch; a layer is whole while it computes

All give the numbers of one process, to rounding. With one process nothing is divided, whatever is chosen, so that what
many ranks trained is evaluated, exported and continued by one without a change of settings.
"""

import importlib.util
from dataclasses import dataclass
from enum import Enum

from finetune.engine.optimizer import AdamW, Sgd
from finetune.settings import Precision, above


class Mode(Enum):
    """What is divided among the ranks; see above."""

    single = "single"
    ddp = "ddp"
    fsdp2 = "fsdp2"
    zero2 = "zero2"
    zero3 = "zero3"


_BY_DEEPSPEED = (Mode.zero2, Mode.zero3)
_WITHOUT_WHOLE_WEIGHTS = (Mode.fsdp2, Mode.zero3)


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """How the processes of a run share it. A rank that is late by more than a timeout ends the run, and is named.

    Args:
        init_timeout_seconds: Until all ranks are there, and for the first step, which compiles and measures.
        step_timeout_seconds: For each training step after that.
        wait_timeout_seconds: For all else: evaluating, saving, preparing data.
    """

    mode: Mode = Mode.ddp
    init_timeout_seconds: float = 600.0
    step_timeout_seconds: float = 120.0
    wait_timeout_seconds: float = 1800.0

    def __post_init__(self) -> None:
        for name in ("init_timeout_seconds", "step_timeout_seconds", "wait_timeout_seconds"):
            above(f"distributed.{name}", getattr(self, name), 0)

    def check(
        self,
        *,
        optimizer: object,
        trainable_dtype: Precision,
        precision: Precision,
        is_quantized: bool,
        compiles_layers: bool,
    ) -> None:
        """Refuse what cannot be trained together with this choice, before anything is loaded.

        Args:
            trainable_dtype: What trained weights are kept in.
            is_quantized: Whether frozen weights are kept in NF4.
            compiles_layers: Whether layers are to be compiled.

        Raises:
            ValueError: Naming the settings and what to do.
        """
        if self.mode in (Mode.single, Mode.ddp):
            return
        chosen = f"distributed={self.mode.name}"
        if self.mode in _BY_DEEPSPEED and importlib.util.find_spec("deepspeed") is None:
            raise ValueError(
                f"{chosen} needs DeepSpeed, which is not installed; run `pip install 'paligemma-finetune[deepspeed]'` "
                "or choose distributed=fsdp2"
            )
        # The others look at whole matrices, rows and columns, or blocks of neighbouring numbers.
        if not isinstance(optimizer, AdamW | Sgd):
            raise ValueError(
                f"optimizer._target_ {type(optimizer).__name__} needs whole tensors and {chosen} divides them: choose "
                "optimizer=adamw or sgd, or distributed=ddp"
            )
        # DeepSpeed steps one group at a time, and the weight decay that goes before SGD's step counts on all of them.
        if self.mode in _BY_DEEPSPEED and isinstance(optimizer, Sgd):
            raise ValueError(
                f"optimizer=sgd and {chosen} are not combined here: choose optimizer=adamw, or distributed=fsdp2"
            )
        if precision is Precision.fp16:
            raise ValueError(f"training.precision=fp16 and {chosen} are not combined here: use bf16, or fp32")
        if self.mode in _BY_DEEPSPEED and trainable_dtype is not Precision.fp32:
            raise ValueError(
                f"{chosen} trains weights in fp32, got model.trainable_dtype={trainable_dtype.name}: set it to fp32, "
                "or choose distributed=fsdp2"
            )
        if self.mode in _WITHOUT_WHOLE_WEIGHTS and is_quantized:
            raise ValueError(
                f"peft.quantization and {chosen} are not combined here: NF4 weights stay whole; choose distributed=ddp "
                "or zero2, or peft.quantization=none"
            )
        if compiles_layers:
            raise ValueError(
                f"training.compile_layers=true and {chosen} are not combined here: choose distributed=ddp, or "
                "training.compile_layers=false"
            )

    def check_launch(self, num_processes: int) -> None:
        """Refuse a number of processes that contradicts the choice.

        Raises:
            ValueError: If there are several for `single`.
        """
        if self.mode is Mode.single and num_processes > 1:
            raise ValueError(
                f"distributed=single is for one process and the launcher started {num_processes}: choose "
                "distributed=ddp, fsdp2, zero2 or zero3, or start one process"
            )
