"""Two optimizer steps of ours against the original's chain, written down in numpy and float64 on its own gradients.

The original clips by the global norm, scales as Adam does, multiplies by the learning rate, adds `wd` times the weight
for arrays that are called kernel, multiplies by the schedule's factor and subtracts. The factor of the first update is
exactly 0, so that weights and gradient are the same at the second one, and one gradient is enough for both.

Adam divides by the gradient's own size: an element whose gradient is +1e-12 here and -1e-12 there moves by the whole
learning rate in opposite directions, and one of epsilon's size by what rounding makes of it. An element is left out,
and counted, whose update would change by more than a ten-thousandth of itself if its gradient changed by the largest
difference between the two gradients of its array.

Source:
    big_vision optax.py, `make`; configs/proj/paligemma/transfers (0127fb6).
"""

import os
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from finetune.data.packing import Batch
from finetune.engine.distributed import Ranks
from finetune.engine.optimizer import AdamW
from finetune.engine.schedule import Cosine
from finetune.engine.step import Learner, StepRules, make_learner, train_step
from finetune.settings import PartMultipliers, Precision, TrainingSettings
from finetune.verification.comparison import Comparison, norm, worst_of
from finetune.verification.gradients import most_rounding
from finetune.verification.subject import Subject
from finetune.wording import counted

# Large, so that a float32 weight shows its update to many digits; the decay is a tenth of it, as in the transfers.
_LEARNING_RATE = 1e-2
_WD = 1e-3
_BETA1, _BETA2, _EPSILON, _CLIP_NORM = 0.9, 0.999, 1e-8, 1.0
_TOTAL_STEPS, _WARMUP_STEPS = 40, 2
# Rounding of gradients changes the updates that count by less than _SETTLED of themselves; a float32 weight of size
# 1 moves in steps of 6e-8 to 1e-7, and its update is 5e-3. Decay is a tenth of the update for weights of size 1: left
# out, or applied to an array too many, it is seen as 4e-3 and more.
_TOLERANCE = 1e-4
_SETTLED = 1e-4


def compare_updates(subject: Subject, batch: Batch, gradients: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Do two updates with the engine, and compare what they do to every array of the checkpoint.

    The model is another one afterwards.

    Args:
        gradients: Ours, by the names of the checkpoint's arrays.
    """
    theirs = subject.expectation.gradients
    before = _weights(subject)
    learner = _learner(subject)
    train_step(learner, 0, [batch])
    after_first = _weights(subject)
    train_step(learner, 1, [batch])
    after_second = _weights(subject)
    first = max(float(np.abs(after_first[name] - before[name]).max()) for name in before)
    wanted = original_updates(before, theirs)
    whole = _global_norm(theirs)
    settled = {
        name: settled_elements(gradients[name], theirs[name], factor=_clipping(whole), most=most_rounding(own, whole))
        for name, own in theirs.items()
    }
    relative = {
        name: norm((after_second[name] - after_first[name] - update)[settled[name]]) / norm(update[settled[name]])
        for name, update in wanted.items()
        if settled[name].any()
    }
    num_settled, num_all = (sum(int(f(mask)) for mask in settled.values()) for f in (np.sum, np.size))
    worst = worst_of(relative)
    return [
        Comparison(
            quantity="first update (learning rate 0)",
            measure="max |difference|",
            found=first,
            tolerance=0,
            detail=f"{num_all} weights",
        ),
        Comparison(
            quantity="second update",
            measure="relative to its norm",
            found=relative.get(worst, np.inf),
            tolerance=_TOLERANCE,
            detail=f"{counted(len(relative), 'array')}, {num_settled / num_all:.2%} of the weights; worst: {worst}",
        ),
    ]


def original_updates(weights: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what the original's second update adds to each array, in float64, for a gradient that stays the same."""
    factor = _clipping(_global_norm(gradients))
    updates = {}
    for name, gradient in gradients.items():
        clipped = gradient.astype(np.float64) * factor
        first, second = np.zeros_like(clipped), np.zeros_like(clipped)
        for _ in range(2):
            first = _BETA1 * first + (1 - _BETA1) * clipped
            second = _BETA2 * second + (1 - _BETA2) * clipped**2
        scaled = first / (1 - _BETA1**2) / (np.sqrt(second / (1 - _BETA2**2)) + _EPSILON)
        decay = _WD * weights[name] if name.endswith("/kernel") else 0.0
        # Warm-up's second step of two; the cosine has not begun.
        updates[name] = -(1 / _WARMUP_STEPS) * (_LEARNING_RATE * scaled + decay)
    return updates


def _learner(subject: Subject) -> Learner:
    # The numbers are the CPU's; elsewhere float32 is added up in other orders.
    os.environ["ACCELERATE_USE_CPU"] = "true"
    rules = StepRules(
        training=TrainingSettings(clip_norm=_CLIP_NORM, label_smoothing=subject.expectation.label_smoothing),
        schedule=Cosine(warmup_steps=_WARMUP_STEPS, warmup_ratio=None),
        total_steps=_TOTAL_STEPS,
        vocabulary_size=subject.dimensions.vocabulary_size,
        seed=0,
    )
    choice = AdamW(
        learning_rate=_LEARNING_RATE,
        weight_decay=_WD / _LEARNING_RATE,
        beta1=_BETA1,
        beta2=_BETA2,
        epsilon=_EPSILON,
    )
    subject.model.zero_grad()
    return make_learner(subject.model, choice, PartMultipliers(), Ranks(Precision.fp32), rules)


def _weights(subject: Subject) -> dict[str, np.ndarray]:
    def values(name: str, parameter: Tensor) -> Tensor:
        return parameter.detach().double()

    return subject.original_arrays(values)


def settled_elements(ours: np.ndarray, theirs: np.ndarray, *, factor: float, most: float) -> np.ndarray:
    """Tell for which elements the update is the same whatever was rounded how.

    Args:
        factor: What clipping multiplies gradients by.
        most: The largest difference that can be rounding; beyond it a wrong gradient shall show.
    """
    largest = float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))
    difference = factor * min(largest, most)
    size = factor * np.abs(theirs.astype(np.float64))
    # g / (|g| + epsilon) changes most where the gradient becomes smaller.
    smallest = np.maximum(size - difference, 0.0)
    is_settled: np.ndarray = (smallest > 0) & (_EPSILON * difference <= _SETTLED * size * (smallest + _EPSILON))
    return is_settled


def _global_norm(gradients: Mapping[str, np.ndarray]) -> float:
    return float(np.sqrt(sum(norm(gradient) ** 2 for gradient in gradients.values())))


def _clipping(whole: float) -> float:
    """Return what gradients of this global norm are multiplied by, so that it is at most 1."""
    return min(1.0, _CLIP_NORM / whole) if whole else 1.0
