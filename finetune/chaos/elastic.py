"""The same run on one process, two, four and one again: the same order of samples, the same losses to rounding.

Dropout is off here: its masks follow the division into ranks. Choices of samples and augmentation do not, and stay on.
"""

import math
import os
import signal
from dataclasses import replace
from functools import partial

from finetune.chaos.choices import Fault
from finetune.chaos.evidence import losses, read_values, torn
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.moments import before_call
from finetune.chaos.promise import Promise
from finetune.engine import loop

_TASK = "numbers of ranks"
_PREEMPTED = 75
NUM_STEPS = 30
# The ranks, and after how many steps of theirs they are asked to end.
STAGES = ((1, 8), (2, 8), (4, 8), (1, None))
LARGEST_DIFFERENCE = 1e-5


def change_ranks(lab: Laboratory, method: str) -> Promise:
    """Train in four stages, and compare every step with a run of one process."""
    promise = Promise(
        fault=Fault.elastic.name,
        text=f"1, 2, 4 and 1 ranks in turn, {method}: every loss within {LARGEST_DIFFERENCE:g} of one process's, "
        "the same learning rates",
    )
    trial = Trial(
        name=f"elastic-{method}",
        method=method,
        num_steps=NUM_STEPS,
        save_every=10,
        evaluate_every=None,
        micro_batch_size=1,
        is_smooth=True,
    )
    lab.reference(trial)
    lab.progress.begin(_TASK, len(STAGES))
    problems: list[str] = []
    for number, (world_size, num_steps) in enumerate(STAGES, start=1):
        problems = problems or _stage(lab, trial, world_size, num_steps)
        lab.progress.advance(_TASK, number, {})
    lab.progress.end(_TASK)
    expected, found = read_values(lab.reference_folder(trial)), read_values(lab.folder(trial))
    largest, told = loss_differences(expected, found)
    problems += [*told, *torn(lab.folder(trial))]
    promise.worst = f"largest difference of {NUM_STEPS} losses {largest:.1e}"
    if promise.note(problems, "1, 2, 4, 1 ranks"):
        for world_size, _ in STAGES:
            lab.forget(replace(trial, world_size=world_size))
    return promise


def loss_differences(
    expected: tuple[tuple[int, str, str], ...], found: tuple[tuple[int, str, str], ...]
) -> tuple[float, list[str]]:
    """Return the largest difference of a loss, and what is wrong with the two series."""
    before, after = losses(expected), losses(found)
    if list(before) != list(after):
        return float("nan"), [f"steps {list(after)} were logged, not {list(before)}"]
    distances = {step: abs(after[step] - loss) for step, loss in before.items()}
    # A loss that is no number is farther away than any other.
    worst = max(distances, key=lambda step: math.inf if math.isnan(distances[step]) else distances[step])
    largest = distances[worst]
    problems = []
    if not largest <= LARGEST_DIFFERENCE:
        problems.append(f"the loss of step {worst} is {after[worst]}, {before[worst]} on one process")
    if _rates(expected) != _rates(found):
        problems.append("learning rates differ")
    return largest, problems


def _rates(values: tuple[tuple[int, str, str], ...]) -> list[tuple[int, str, str]]:
    return [value for value in values if value[1].startswith("learning_rate")]


def _stage(lab: Laboratory, trial: Trial, world_size: int, num_steps: int | None) -> list[str]:
    """Train so many steps on so many ranks; None: to the end."""
    stage = replace(trial, world_size=world_size)

    def prepare(rank: int) -> None:
        if num_steps is not None and rank == world_size - 1:
            # Noticed after the step that then begins.
            stop = partial(os.kill, os.getpid(), signal.SIGTERM)
            before_call(loop, "train_step", num_steps, stop)

    code = 0 if num_steps is None else _PREEMPTED
    children = lab.start_ranks(stage, prepare)
    patience = lab.patience(trial)
    return [f"{world_size} ranks: {problem}" for child in children for problem in lab.ended(child, patience, code=code)]
