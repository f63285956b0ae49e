"""The training loop: step, save what is due, evaluate, note what that changed, stop, and nothing else.

Everything that decides what comes next is in `Counters` or is a pure function of the step, so that a run that was
interrupted anywhere and resumed prints the same losses, to the last digit, as one that was not.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import cast

from finetune.data.loader import Window
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.counters import Counters, IsBetter, after_evaluation, after_step, early_stop, following
from finetune.engine.identity import Identity
from finetune.engine.resuming import restore_newest
from finetune.engine.saving import Saver
from finetune.engine.signals import StopSignals
from finetune.engine.step import Learner, Outcome, StepReport, train_step
from finetune.engine.stops import InterruptedRunError, NonFiniteError, PreemptedError
from finetune.engine.throughput import Throughput, peak_memory_gib
from finetune.reporting.reporter import Reporter
from finetune.settings import CheckpointSettings, EvaluationSettings, Precision

_MOST_BAD_STEPS = 3
_NUM_NAMED_SAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """All parts of a training run, connected.

    Args:
        windows: This rank's part of the steps from one number to below another (`TrainingLoader.windows`).
        evaluate: Scores and reports the model after so many steps, the same on every rank; None: given up half-way,
            because a signal asked to stop.
        is_better: Whether the named score's new value beats the old one.
        identity: The settings that a resumed run must share.
        max_skips: Samples that may be left out before the run stops.
        note_step: Told after each step how many are done, for whoever says how the run ended.
    """

    learner: Learner
    windows: Callable[[int, int], Iterator[Window]]
    checkpoints: CheckpointStore
    reporter: Reporter
    signals: StopSignals
    evaluate: Callable[[int], Mapping[str, float] | None]
    is_better: IsBetter
    identity: Identity
    evaluation: EvaluationSettings
    checkpoint: CheckpointSettings
    max_skips: int
    note_step: Callable[[int], None] = lambda step: None


def train(run: Training) -> Counters:
    """Train from the newest checkpoint, or from the beginning, to the end.

    Returns:
        The final counters; the last state is saved.

    Raises:
        RunStoppedError: Of the kind that says why the run ended early; its exit code is the process's.
        ValueError: If the checkpoints are those of another run, or too many samples cannot be used.
    """
    saver = Saver(run.checkpoints, run.learner, run.reporter, run.identity, run.checkpoint)
    counters = resume(run, saver)
    if not _is_over(run, counters):
        saver.require_room(keeps_best=run.evaluation.best_metric is not None)
    try:
        counters = _train(run, saver, counters)
    except Exception:
        saver.close()
        raise
    if reason := early_stop(counters, run.evaluation, run.learner.rules.total_steps):
        run.reporter.say(reason)
    return counters


def _train(run: Training, saver: Saver, counters: Counters) -> Counters:
    throughput = Throughput()
    windows = cast("Generator[Window]", run.windows(counters.step, run.learner.rules.total_steps))
    with closing(windows):
        while True:
            run.note_step(counters.step)
            stop = _requested_stop(run, saver, counters)
            if stop is None and _evaluation_is_due(run, counters):
                # Evaluations take long and may fail: what training did must not depend on how one ends.
                if _is_checkpoint_step(run, counters):
                    saver.save(counters, is_last=False)
                counters = _evaluate(run, counters)
                stop = _requested_stop(run, saver, counters)
            is_over = _is_over(run, counters)
            if stop or _checkpoint_is_due(run, counters):
                saver.save(counters, is_last=is_over or stop is not None)
            if stop:
                raise stop
            if is_over:
                return counters
            started = time.monotonic()
            window = next(windows)
            report = train_step(run.learner, window.step, window.batches)
            throughput.add(report, time.monotonic() - started)
            counters = _count(run, counters, window, report)
            _report(run, counters, report, throughput)


def resume(run: Training, saver: Saver) -> Counters:
    """Put the newest checkpoint's state into the learner; without one, nothing changes and counting starts at 0."""
    total_steps = run.learner.rules.total_steps
    run.learner.losses.train()
    snapshot = restore_newest(run.learner, run.checkpoints, run.identity)
    if snapshot is None:
        run.reporter.rewind(-1)
        return Counters()
    counters, best_metric = Counters(**snapshot.state["counters"]), run.evaluation.best_metric
    # What was logged after the checkpoint will be logged again, with it an evaluation that it does not know of.
    run.reporter.rewind(snapshot.step, is_evaluated=counters.evaluated_step == snapshot.step)
    run.reporter.say(f"continuing after step {snapshot.step} of {total_steps}")
    saver.continue_from(counters, snapshot.num_bytes)
    return counters if best_metric is None else following(counters, best_metric)


def _evaluation_is_due(run: Training, counters: Counters) -> bool:
    step, every = counters.step, run.evaluation.every_steps
    if counters.evaluated_step == step:
        return False
    if step == 0 and run.evaluation.before_training:
        return True
    return step == run.learner.rules.total_steps or (step > 0 and every is not None and step % every == 0)


def _checkpoint_is_due(run: Training, counters: Counters) -> bool:
    is_best = counters.best_step == counters.step
    return is_best or _is_over(run, counters) or _is_checkpoint_step(run, counters)


def _is_checkpoint_step(run: Training, counters: Counters) -> bool:
    """Whether a checkpoint is due however an evaluation here comes out."""
    step, every = counters.step, run.checkpoint.every_steps
    return step == run.learner.rules.total_steps or (step > 0 and every is not None and step % every == 0)


def _is_over(run: Training, counters: Counters) -> bool:
    total_steps = run.learner.rules.total_steps
    return counters.step == total_steps or early_stop(counters, run.evaluation, total_steps) is not None


def _evaluate(run: Training, counters: Counters) -> Counters:
    """Evaluate, and take note if that was not cut short. Training's randomness does not depend on it."""
    scores = run.learner.ranks.broadcast(run.evaluate(counters.step))
    run.learner.losses.train()
    if scores is None:
        return counters
    return after_evaluation(counters, scores, run.evaluation.best_metric, run.is_better)


def _requested_stop(run: Training, saver: Saver, counters: Counters) -> InterruptedRunError | PreemptedError | None:
    """Return why the run must stop now, if any rank was asked to. A save that failed meanwhile is noticed here too."""
    signals = run.signals
    interrupted, preempted, failed = run.learner.ranks.sum(
        [float(signals.interrupted), float(signals.preempted), float(saver.has_failed())]
    )
    if failed:
        saver.settle()
    where = f"after step {counters.step} of {run.learner.rules.total_steps}"
    if interrupted:
        return InterruptedRunError(f"interrupted {where}; the same command continues from there")
    if preempted:
        return PreemptedError(f"asked to end {where}; the same command continues from there")
    return None


def _count(run: Training, counters: Counters, window: Window, report: StepReport) -> Counters:
    """Count a step and what was left out of it, over all ranks; refuse what must not go on."""
    num_skips, num_notes = run.learner.ranks.sum([float(len(window.skips)), float(len(window.notes))])
    skips, notes = list(window.skips), Counter(window.notes)
    if num_skips or num_notes:
        gathered = run.learner.ranks.gather([(window.skips, window.notes)])
        skips = [skip for skips, _ in gathered for skip in skips]
        notes = sum((Counter(notes) for _, notes in gathered), Counter())
    new_skips = {skip.name: skip for skip in skips if skip.name not in counters.skipped}
    counters = after_step(counters, report, skipped=new_skips, notes=notes)
    if new_skips:
        run.reporter.log_skips(list(new_skips.values()), counters.step)
    if len(counters.skipped) > run.max_skips:
        raise ValueError(
            f"{len(counters.skipped)} samples were skipped, data.max_skips allows {run.max_skips}; the last one: "
            f"{skips[-1].to_error()}. See skips.jsonl in the run's folder"
        )
    return counters


def _report(run: Training, counters: Counters, report: StepReport, throughput: Throughput) -> None:
    """Log a step, and stop where the numbers stay bad."""
    step, rules = counters.step, run.learner.rules
    is_bad = report.outcome is Outcome.non_finite
    if step % rules.training.log_every_steps == 0 or step == rules.total_steps or is_bad:
        rates = {f"learning_rate/{part}": rate for part, rate in report.learning_rates.items()}
        memory = peak_memory_gib(run.learner.ranks.device)
        values = {"loss": report.loss, "grad_norm": report.grad_norm, **rates, "memory_gib": memory}
        run.reporter.log({**values, **throughput.take()}, step)
    if is_bad:
        names = ", ".join(report.suspects[:_NUM_NAMED_SAMPLES])
        problem = f"step {step}: loss {report.loss}, gradient norm {report.grad_norm}; samples: {names}"
        run.reporter.warn(f"{problem}. No weight was changed")
        if counters.bad_steps_in_a_row == _MOST_BAD_STEPS:
            is_exact = rules.training.precision is Precision.fp32
            advice = "lower optimizer.learning_rate" + ("" if is_exact else ", or use training.precision=fp32")
            raise NonFiniteError(
                f"{problem}. {_MOST_BAD_STEPS} steps in a row were not finite; look at these samples, or {advice}"
            )
