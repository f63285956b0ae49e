"""What a run counts. Saved with every checkpoint, so that a resumed run decides as the uninterrupted one would."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from finetune.engine.step import Outcome, StepReport
from finetune.settings import EvaluationSettings

IsBetter = Callable[[str, float, float | None], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """All numbers are over all ranks, since the start of the run.

    Args:
        step: Optimizer steps done.
        num_tokens: Image tokens included.
        skipped: Names of the samples that could not be used, sorted; one that is drawn in every epoch is one sample.
        notes: What recipes and readers did to samples on purpose, counted.
        bad_steps_in_a_row: Steps whose loss or gradient was not finite.
        evaluated_step: The step of the last evaluation; -1: none yet.
        best_metric: Which score `best_value` is of.
        best_step: Which step scored best, after training began.
    """

    step: int = 0
    num_examples: int = 0
    num_tokens: int = 0
    skipped: Sequence[str] = field(default_factory=list)
    notes: Mapping[str, int] = field(default_factory=dict)
    bad_steps_in_a_row: int = 0
    evaluated_step: int = -1
    best_metric: str | None = None
    best_value: float | None = None
    best_step: int | None = None
    evaluations_since_best: int = 0


def after_step(
    counters: Counters, report: StepReport, *, skipped: Collection[str], notes: Mapping[str, int]
) -> Counters:
    """Count one step, done or not: the order of the data and the schedule go on either way."""
    bad_steps = counters.bad_steps_in_a_row
    if report.outcome is Outcome.non_finite:
        bad_steps += 1
    elif report.outcome is Outcome.updated:
        bad_steps = 0
    return replace(
        counters,
        step=counters.step + 1,
        num_examples=counters.num_examples + report.num_examples,
        num_tokens=counters.num_tokens + report.num_tokens,
        skipped=sorted({*counters.skipped, *skipped}),
        notes=dict(Counter(counters.notes) + Counter(notes)),
        bad_steps_in_a_row=bad_steps,
    )


def after_evaluation(
    counters: Counters, scores: Mapping[str, float], best_metric: str | None, is_better: IsBetter
) -> Counters:
    """Count one evaluation. What the model scored before training is for the report, and no candidate.

    Raises:
        ValueError: If the evaluation has no score of that name.
    """
    counters = replace(counters, evaluated_step=counters.step)
    if best_metric is None:
        return counters
    counters = following(counters, best_metric)
    if best_metric not in scores:
        raise ValueError(f"evaluation.best_metric={best_metric} is no score of this run: {', '.join(sorted(scores))}")
    if counters.step == 0:
        return counters
    value = scores[best_metric]
    if is_better(best_metric, value, counters.best_value):
        return replace(counters, best_value=value, best_step=counters.step, evaluations_since_best=0)
    return replace(counters, evaluations_since_best=counters.evaluations_since_best + 1)


def following(counters: Counters, best_metric: str) -> Counters:
    """Forget the best evaluation if it was the best by another metric: their values cannot be compared."""
    if counters.best_metric == best_metric:
        return counters
    return replace(counters, best_metric=best_metric, best_value=None, best_step=None, evaluations_since_best=0)


def early_stop(counters: Counters, evaluation: EvaluationSettings, total_steps: int) -> str | None:
    """Say why training ends before its last step; None where it does not."""
    since, patience = counters.evaluations_since_best, evaluation.patience
    if patience is None or since < patience or counters.step == total_steps:
        return None
    best = "it was never a number" if counters.best_step is None else f"best: step {counters.best_step}"
    return (
        f"stopped early after step {counters.step} of {total_steps}: {evaluation.best_metric} did not improve for "
        f"{since} evaluation{'s' if since > 1 else ''} ({best})"
    )
