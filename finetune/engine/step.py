"""One optimizer step: a window of examples in, one update of the weights and a report out.

Ranks and micro-batches only divide the window. The loss is a sum of shares whose divisor is known before the first
backward, so that 8 x 1, 4 x 2 and 1 x 8 micro-batches, on one rank or on several, give the same gradient.
"""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.data.order import stable_hash
from finetune.data.packing import Batch
from finetune.engine.distributed import Ranks
from finetune.engine.loss import example_loss_weights, micro_batch_loss
from finetune.engine.optimizer import OptimizerChoice
from finetune.engine.parameter_groups import parameter_groups
from finetune.engine.schedule import Schedule
from finetune.model.compile import check_compiler, compiling_layers
from finetune.model.forward import target_states
from finetune.settings import PartMultipliers, TrainingSettings


class Outcome(Enum):
    """What became of a window."""

    updated = "updated"
    empty = "empty"
    """No example of the window could be used."""
    overflow = "overflow"
    """fp16 gradients were too large for the loss scale, which now falls: the normal course of things."""
    non_finite = "non_finite"
    """The loss or the gradient was infinite or not a number: no rank touched its weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRules:
    """What every step of a run obeys.

    Args:
        total_steps: Optimizer steps of the whole run, which the schedule needs.
        vocabulary_size: Ids that a target can have.
    """

    training: TrainingSettings
    schedule: Schedule
    total_steps: int
    vocabulary_size: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """A model with all that changes it.

    Args:
        model: The PaliGemma (with adapters), for generation and for saving.
        losses: The same model as a `MicroBatchLosses`, connected across ranks.
    """

    model: nn.Module
    losses: nn.Module
    optimizer: Optimizer
    ranks: Ranks
    rules: StepRules


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What one step did, the same on every rank.

    Args:
        loss: Of the window, in nats, as computed: also when it is not finite; NaN for an empty window.
        grad_norm: Before clipping.
        learning_rates: By part of the model that trains.
        num_examples, num_targets: What the loss was normalised over; stand-ins are not counted.
        num_tokens: All tokens of these examples, images included.
        suspects: Sample ids to look at where the outcome is `non_finite`.
    """

    outcome: Outcome
    loss: float
    grad_norm: float
    learning_rates: dict[str, float]
    num_examples: int
    num_targets: int
    num_tokens: int
    suspects: tuple[str, ...] = ()


class MicroBatchLosses(nn.Module):
    """The forward of one micro-batch. A module, because that is what connects gradients across ranks."""

    def __init__(self, model: nn.Module, rules: StepRules) -> None:
        super().__init__()
        self.model = model
        self.rules = rules

    def forward(
        self, batch: Batch, weights: Float[Tensor, " examples"]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, " examples"]]:
        """Return this batch's share of the window's loss, and the summed loss of each example, detached.

        Residual dropout takes part in training mode alone.

        Args:
            weights: As `example_loss_weights` returns them. The head's gradient is computed with them right away.
        """
        training = self.rules.training
        with compiling_layers() if training.compile_layers else nullcontext():
            states = target_states(
                self.model,
                batch,
                rung=training.gradient_checkpointing,
                residual_dropout=training.residual_dropout if self.training else 0.0,
            )
        return micro_batch_loss(
            self.model,
            states,
            batch,
            weights,
            vocabulary_size=self.rules.vocabulary_size,
            label_smoothing=training.label_smoothing,
        )


def make_learner(
    model: nn.Module, choice: OptimizerChoice, multipliers: PartMultipliers, ranks: Ranks, rules: StepRules
) -> Learner:
    """Put a model whose trainable parameters are chosen on its device, with its optimizer.

    Raises:
        ValueError: If nothing trains, or if layers are to be compiled and cannot be.
    """
    if rules.training.compile_layers:
        check_compiler(ranks.device)
    model.to(ranks.device)
    losses: nn.Module = MicroBatchLosses(model, rules)
    # Before there is an optimizer: the parameters that it gets are those that are left then.
    ranks.shard(losses)
    optimizer = choice.build(parameter_groups(model, choice, multipliers))
    losses, optimizer = ranks.prepare(losses, optimizer)
    return Learner(model=model, losses=losses, optimizer=optimizer, ranks=ranks, rules=rules)


def train_step(learner: Learner, step: int, batches: Sequence[Batch]) -> StepReport:
    """Do update `step` (from 0) with this rank's micro-batches of the window.

    No weight changes, on any rank, unless the loss and the gradient of the whole window are finite.

    Args:
        batches: At least one; every rank calls this for every window.
    """
    with learner.ranks.training(step):
        return _train_step(learner, step, batches)


def _train_step(learner: Learner, step: int, batches: Sequence[Batch]) -> StepReport:
    ranks, rules = learner.ranks, learner.rules
    num_examples, num_targets, num_tokens = (int(total) for total in ranks.sum(_count(batches)))
    rates = _set_learning_rates(learner.optimizer, rules.schedule.factor(step, rules.total_steps))
    # Examples without a target are right in every word: their loss is 0.
    outcome, loss, grad_norm = Outcome.empty, 0.0 if num_examples else math.nan, math.nan
    suspects: tuple[str, ...] = ()
    if num_targets:
        sums, shares = _accumulate(learner, step, batches, num_examples=num_examples, num_targets=num_targets)
        outcome, loss, grad_norm = _update(learner, shares)
    if outcome is Outcome.non_finite:
        suspects = _suspects(ranks, batches, sums)
    return StepReport(
        outcome=outcome,
        loss=loss,
        grad_norm=grad_norm,
        learning_rates=rates,
        num_examples=num_examples,
        num_targets=num_targets,
        num_tokens=num_tokens,
        suspects=suspects,
    )


def _count(batches: Sequence[Batch]) -> list[float]:
    """Count this rank's examples, targets and tokens, stand-ins left out of the first two."""
    num_examples = sum(float((batch.example_weights > 0).sum()) for batch in batches)
    num_targets = sum(float((batch.num_targets * (batch.example_weights > 0)).sum()) for batch in batches)
    num_tokens = sum(float((batch.example_ids >= 0).sum()) for batch in batches)
    return [num_examples, num_targets, num_tokens]


def _set_learning_rates(optimizer: Optimizer, factor: float) -> dict[str, float]:
    """Set each group's learning rate for this step; return the highest of each part."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_learning_rate"] * factor
    # Ascending, so that of one part's groups the highest stays.
    return {group["part"]: group["lr"] for group in sorted(optimizer.param_groups, key=lambda group: group["lr"])}


def _accumulate(
    learner: Learner, step: int, batches: Sequence[Batch], *, num_examples: int, num_targets: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Add up the window's gradient; return each micro-batch's loss sums by example, and its share of the loss."""
    ranks, rules = learner.ranks, learner.rules
    all_sums, shares = [], []
    for index, batch in enumerate(batches):
        # Dropout depends on nothing that happened before: not on a resume, not on an evaluation in between.
        torch.manual_seed(stable_hash("dropout", rules.seed, step, ranks.rank, index))
        batch = batch.to(ranks.device)
        weights = example_loss_weights(
            batch, rules.training.normalization, num_examples=num_examples, num_targets=num_targets
        )
        with ranks.accumulating(learner.losses, more=index + 1 < len(batches)):
            share, sums = ranks.forward(learner.losses, batch, weights)
            ranks.backward(share)
        all_sums.append(sums)
        shares.append(share.detach())
    return all_sums, shares


def _update(learner: Learner, shares: Sequence[Tensor]) -> tuple[Outcome, float, float]:
    """Clip and apply the gradient if it may be; return what was done, the window's loss and the gradient's norm."""
    ranks, optimizer = learner.ranks, learner.optimizer
    loss_scale = ranks.loss_scale()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    grad_norm = ranks.clip(parameters, learner.rules.training.clip_norm or math.inf)
    share = float(torch.stack(list(shares)).cpu().double().sum())
    # One reduction carries both, so that all ranks decide alike.
    loss, num_bad_norms = ranks.sum([share, float(not math.isfinite(grad_norm))])
    if math.isfinite(loss) and not num_bad_norms:
        ranks.apply(optimizer)
        return Outcome.updated, loss, grad_norm
    ranks.discard(optimizer)
    is_overflow = math.isfinite(loss) and loss_scale > 1
    return Outcome.overflow if is_overflow else Outcome.non_finite, loss, grad_norm


def _suspects(ranks: Ranks, batches: Sequence[Batch], sums: Sequence[Tensor]) -> tuple[str, ...]:
    """Name the samples whose own loss is not finite; the whole window where every one is."""
    window = [sample_id for batch in batches for sample_id in batch.sample_ids]
    finite = torch.cat(list(sums)).isfinite().tolist()
    bad = ranks.gather([sample_id for sample_id, is_finite in zip(window, finite, strict=True) if not is_finite])
    return tuple(bad or ranks.gather(window))
