"""Who does the training step: this project, and what people would otherwise use."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import nn

from finetune.benchmark.choices import VariantName, Workload
from finetune.benchmark.dimensions import Dimensions
from finetune.benchmark.model import num_bytes, our_model
from finetune.benchmark.samples import Window, in_turn, our_batch
from finetune.engine.distributed import Ranks
from finetune.engine.optimizer import AdamW, OptimizerChoice
from finetune.engine.schedule import Constant
from finetune.engine.step import Learner, StepRules, make_learner, train_step
from finetune.model.compile import forget_graphs
from finetune.settings import Normalization, PartMultipliers, TrainingSettings

LEARNING_RATE = 1e-4
CLIP_NORM = 1.0
# No schedule ends within a benchmark.
ENDLESS_STEPS = 1_000_000


@runtime_checkable
class Variant(Protocol):
    """One way of doing the workload's training step."""

    @property
    def what(self) -> str:
        """What it is, for tables."""
        ...

    def step(self) -> None:
        """Do the next optimizer step, on the next window."""
        ...

    def loss(self) -> float:
        """Return the last step's loss: the mean over its targets, in nats, before the update."""
        ...

    def held_bytes(self) -> int:
        """Return the memory of weights and optimizer state, between steps."""
        ...

    def close(self) -> None:
        """Give back what does not end by itself."""
        ...


class Ours:
    """This project: `make_learner` and `train_step`, as `finetune train` calls them.

    Args:
        is_compiled: With `training.compile_layers=true`.
    """

    def __init__(
        self,
        base: nn.Module,
        workload: Workload,
        dimensions: Dimensions,
        windows: Sequence[Window],
        *,
        is_compiled: bool = False,
    ) -> None:
        if is_compiled:
            forget_graphs()
        self._is_compiled = is_compiled
        self._learner = learner_of(
            our_model(base, workload),
            workload,
            dimensions,
            AdamW(learning_rate=LEARNING_RATE, weight_decay=0.0),
            compile_layers=is_compiled,
        )
        self._batches = in_turn(tuple(our_batch(window, dimensions, workload.row_tokens) for window in windows))
        self._num_steps = 0
        self._loss = float("nan")

    @property
    def what(self) -> str:
        compiled = ", compile_layers=true" if self._is_compiled else ""
        return f"this project: make_learner, train_step{compiled}"

    def step(self) -> None:
        report = train_step(self._learner, self._num_steps, [next(self._batches)])
        self._num_steps += 1
        self._loss = report.loss

    def loss(self) -> float:
        return self._loss

    def held_bytes(self) -> int:
        states = self._learner.optimizer.state.values()
        tensors = [value for state in states for value in state.values() if hasattr(value, "untyped_storage")]
        return num_bytes(iter([*self._learner.model.parameters(), *tensors]))

    def close(self) -> None:
        """Nothing outlives it."""


def learner_of(
    model: nn.Module,
    workload: Workload,
    dimensions: Dimensions,
    optimizer: OptimizerChoice,
    *,
    clip_norm: float | None = CLIP_NORM,
    compile_layers: bool = False,
) -> Learner:
    """Return our learner of a model, with the mean over targets as its loss, which is transformers' own.

    Every row of the table counts as vocabulary, as in transformers' loss.
    """
    rules = StepRules(
        training=TrainingSettings(
            global_batch_size=workload.batch,
            micro_batch_size=workload.batch,
            max_steps=ENDLESS_STEPS,
            normalization=Normalization.token,
            clip_norm=clip_norm,
            precision=workload.precision,
            compile_layers=compile_layers,
        ),
        schedule=Constant(warmup_steps=0, warmup_ratio=None),
        total_steps=ENDLESS_STEPS,
        vocabulary_size=dimensions.rows,
        seed=0,
    )
    learner = make_learner(model, optimizer, PartMultipliers(), Ranks(workload.precision), rules)
    learner.losses.train()
    return learner


def make_variant(
    name: VariantName, base: nn.Module, workload: Workload, dimensions: Dimensions, windows: Sequence[Window]
) -> Variant:
    """Set a variant up on the shared base."""
    if name in (VariantName.ours, VariantName.ours_compiled):
        return Ours(base, workload, dimensions, windows, is_compiled=name is VariantName.ours_compiled)
    from finetune.benchmark.stock import Stock
    from finetune.benchmark.strong import Strong

    if name is VariantName.strong:
        return Strong(base, workload, windows)
    return Stock(base, workload, windows, is_checkpointed=name is VariantName.stock_checkpointed)
