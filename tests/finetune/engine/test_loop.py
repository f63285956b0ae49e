"""Whole runs: interrupted anywhere and resumed, they say and become the same as if nothing had happened."""

import errno
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from finetune.data.loader import Window
from finetune.data.packing import Batch
from finetune.data.skips import Skip
from finetune.engine import faults
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.counters import Counters
from finetune.engine.identity import Identity
from finetune.engine.loop import Training, train
from finetune.engine.signals import StopSignals
from finetune.engine.step import Learner
from finetune.engine.stops import DiskError, InterruptedRunError, NonFiniteError, PreemptedError
from finetune.model.trained import trained_state
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.reporting.reporter import SilentReporter
from finetune.settings import CheckpointSettings, EvaluationSettings, TrainingSettings
from finetune.types import TokenizedExample

NUM_STEPS = 6


class Story(SilentReporter):
    """A reporter that remembers; it outlives the process that is killed, as files do."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, dict[str, float]]] = []
        self.skips: list[str] = []
        self.said: list[str] = []

    def rewind(self, step: int, *, is_evaluated: bool = True) -> None:
        self.lines = [line for line in self.lines if line[0] <= step]

    def log(self, values: Mapping[str, float], step: int) -> None:
        self.lines.append((step, dict(values)))

    def log_skips(self, skips: Any, step: int) -> None:
        self.skips += [skip.sample_id for skip in skips]

    def say(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(text)

    def exact(self) -> list[tuple[int, dict[str, str]]]:
        """Everything that a clock does not decide, to the last digit."""
        timed = ("examples_per_second", "tokens_per_second", "memory_gib")
        return [(step, {k: v.hex() for k, v in values.items() if k not in timed}) for step, values in self.lines]

    def of(self, name: str) -> dict[int, float]:
        return {step: values[name] for step, values in self.lines if name in values}


class Killed(BaseException):
    """A process that ends without a word."""


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.disarm()


@pytest.fixture
def windows(random_examples: Callable[..., list[TokenizedExample]], batch_of: Callable[..., Batch]) -> Any:
    """Windows of two micro-batches with two examples each, given by the number of the step."""

    def make(start_step: int, stop_step: int) -> Iterator[Window]:
        for step in range(start_step, stop_step):
            batches = tuple(batch_of(random_examples(2, seed=10 * step + number)) for number in (0, 1))
            yield Window(step=step, epoch=0, batches=batches, skips=(), notes={})

    return make


@pytest.fixture
def new_run(tmp_path: Path, new_learner: Callable[..., Learner], windows: Any) -> Callable[..., Training]:
    """Make a run of a fresh process in the same folder."""

    def make(peft: Any = FullFineTuning(), *, folder: str = "run", **changes: Any) -> Training:  # noqa: B008
        story = changes.pop("reporter", None) or Story()

        def evaluate(step: int) -> Mapping[str, float]:
            torch.rand(3 + step)  # as beam search or dropout in evaluation might
            story.log({"score": float(step)}, step)
            return {"score": float(step)}

        learner = new_learner(peft, training=changes.pop("training", None), total_steps=NUM_STEPS)
        checkpoints = CheckpointStore(tmp_path / folder / "checkpoints", keep_last=2, warn=story.warn)
        run = Training(
            learner=learner,
            windows=windows,
            checkpoints=checkpoints,
            reporter=story,
            signals=StopSignals(),
            evaluate=evaluate,
            is_better=lambda name, new, old: old is None or new > old,
            identity=Identity(settings={"seed": 7}),
            evaluation=EvaluationSettings(every_steps=3),
            checkpoint=CheckpointSettings(every_steps=2),
            max_skips=10,
        )
        return replace(run, **changes)

    return make


def final(run: Training) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in trained_state(run.learner.model).items()}


def assert_same_outcome(run: Training, reference: Training) -> None:
    assert run.reporter.exact() == reference.reporter.exact()  # type: ignore[attr-defined]
    assert all(torch.equal(tensor, final(reference)[name]) for name, tensor in final(run).items())


@pytest.mark.parametrize(
    ("peft", "residual_dropout"),
    [(FullFineTuning(), 0.0), (FullFineTuning(), 0.2), (Lora(rank=2, dropout=0.3, connector=True), 0.2)],
    ids=["full", "full-dropout", "lora-dropout"],
)
@pytest.mark.parametrize("killed_in_step", [0, 1, 3, 5])
def test_a_killed_run_resumes_to_the_same_losses_and_weights_to_the_last_digit(
    new_run: Callable[..., Training], windows: Any, peft: Any, residual_dropout: float, killed_in_step: int
) -> None:
    training = TrainingSettings(residual_dropout=residual_dropout)
    reference = new_run(peft, folder="reference", training=training)
    train(reference)

    def deadly(start_step: int, stop_step: int) -> Iterator[Window]:
        for window in windows(start_step, stop_step):
            if window.step == killed_in_step:
                raise Killed
            yield window

    first = new_run(peft, windows=deadly, training=training)
    with pytest.raises(Killed):
        train(first)
    second = new_run(peft, reporter=first.reporter, training=training)
    counters = train(second)
    assert counters.step == NUM_STEPS
    assert_same_outcome(second, reference)


@pytest.mark.parametrize("point", ["trained.begun", "manifest.written", "retention.renamed"])
def test_a_run_that_is_killed_while_it_saves_beside_training_loses_one_interval_and_nothing_else(
    new_run: Callable[..., Training], windows: Any, point: str
) -> None:
    """The thread stands still at a moment of its save until the run has ended, as a kill would have it."""
    reference = new_run(folder="reference")
    train(reference)
    reached, never = threading.Event(), threading.Event()

    def stand_still() -> None:
        reached.set()
        never.wait(60)
        raise OSError(errno.EIO, "nobody listens any more")

    def deadly(start_step: int, stop_step: int) -> Iterator[Window]:
        for window in windows(start_step, stop_step):
            if window.step == 4:
                faults.arm(point, stand_still)
            if window.step >= 4 and reached.wait(0.5):
                raise Killed
            yield window

    first = new_run(windows=deadly, checkpoint=CheckpointSettings(every_steps=1, asynchronous=True))
    with pytest.raises(Killed):
        train(first)
    faults.disarm()
    second = new_run(reporter=first.reporter, checkpoint=CheckpointSettings(every_steps=1, asynchronous=True))
    train(second)
    never.set()
    assert_same_outcome(second, reference)


def test_a_save_that_fails_beside_training_stops_the_run_at_the_next_step(new_run: Callable[..., Training]) -> None:
    def refuse() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    run = new_run(checkpoint=CheckpointSettings(every_steps=2, asynchronous=True))
    faults.arm("optimizer.begun", refuse)
    steps: list[int] = []
    with pytest.raises(DiskError, match="nothing can be saved in"):
        train(replace(run, note_step=steps.append))
    # Its error may come a moment after the next step has begun.
    assert steps[-1] in (2, 3, 4)
    assert run.checkpoints.steps() == []


def test_a_signal_waits_for_the_save_beside_training_and_then_saves(
    new_run: Callable[..., Training], windows: Any
) -> None:
    def signalled(start_step: int, stop_step: int) -> Iterator[Window]:
        for window in windows(start_step, stop_step):
            if window.step == 2:
                signal.raise_signal(signal.SIGUSR2)
            yield window

    run = new_run(windows=signalled, checkpoint=CheckpointSettings(every_steps=2, asynchronous=True))
    faults.arm("trained.begun", lambda: time.sleep(0.2))
    with run.signals, run.signals.deferred(), pytest.raises(PreemptedError, match="after step 3"):
        train(run)
    assert run.checkpoints.steps() == [3, 2]
    assert [run.checkpoints.verify(step) for step in (3, 2)] == [None, None]


@pytest.mark.parametrize(
    ("number", "error", "exit_code"),
    [(signal.SIGINT, InterruptedRunError, 130), (signal.SIGTERM, PreemptedError, 75)],
)
def test_a_signal_in_a_step_saves_that_step_and_the_next_run_goes_on_from_there(
    new_run: Callable[..., Training], windows: Any, number: signal.Signals, error: type[Exception], exit_code: int
) -> None:
    reference = new_run(folder="reference")
    train(reference)

    def signalled(start_step: int, stop_step: int) -> Iterator[Window]:
        for window in windows(start_step, stop_step):
            if window.step == 2:
                signal.raise_signal(number)
            yield window

    first = new_run(windows=signalled)
    with first.signals, first.signals.deferred(), pytest.raises(error, match="after step 3 of 6") as stop:
        train(first)
    assert stop.value.exit_code == exit_code
    assert first.checkpoints.newest() == 3
    second = new_run(reporter=first.reporter)
    train(second)
    assert "continuing after step 3 of 6" in second.reporter.said  # type: ignore[attr-defined]
    assert_same_outcome(second, reference)


def test_a_signal_before_the_first_evaluation_stops_without_it(new_run: Callable[..., Training]) -> None:
    run = new_run()
    with run.signals, run.signals.deferred():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(PreemptedError, match="after step 0 of 6"):
            train(run)
    assert run.reporter.lines == []  # type: ignore[attr-defined]
    assert run.checkpoints.newest() is None


def test_a_signal_during_an_evaluation_leaves_the_evaluation_to_the_next_run(new_run: Callable[..., Training]) -> None:
    reference = new_run(folder="reference")
    train(reference)

    first = new_run()
    evaluate = first.evaluate

    def interrupted(step: int) -> Mapping[str, float] | None:
        if step < 3:
            return evaluate(step)
        signal.raise_signal(signal.SIGINT)
        return None

    first = replace(first, evaluate=interrupted)
    with first.signals, first.signals.deferred(), pytest.raises(InterruptedRunError, match="after step 3"):
        train(first)
    assert 3 not in first.reporter.of("score")  # type: ignore[attr-defined]
    second = new_run(reporter=first.reporter)
    train(second)
    assert_same_outcome(second, reference)


def test_an_evaluation_that_fails_loses_no_step_and_is_made_up_for(new_run: Callable[..., Training]) -> None:
    changes: dict[str, Any] = {
        "evaluation": EvaluationSettings(every_steps=2, best_metric="score", before_training=False),
        "checkpoint": CheckpointSettings(every_steps=None),
    }
    reference = new_run(folder="reference", **changes)
    expected = train(reference)

    first = new_run(**changes)
    evaluate = first.evaluate

    def failing(step: int) -> Mapping[str, float] | None:
        if step == NUM_STEPS:
            raise Killed
        return evaluate(step)

    with pytest.raises(Killed):
        train(replace(first, evaluate=failing))
    assert first.checkpoints.newest() == NUM_STEPS
    assert first.checkpoints.best() == 4
    second = new_run(reporter=first.reporter, **changes)
    assert train(second) == expected
    assert_same_outcome(second, reference)
    assert second.checkpoints.best() == NUM_STEPS


def test_a_score_that_is_missing_after_the_last_step_costs_no_step(new_run: Callable[..., Training]) -> None:
    run = new_run(
        evaluation=EvaluationSettings(best_metric="recall", before_training=False),
        checkpoint=CheckpointSettings(every_steps=None),
    )
    with pytest.raises(ValueError, match="best_metric=recall is no score of this run: score"):
        train(run)
    assert run.checkpoints.newest() == NUM_STEPS


def test_evaluations_come_before_training_every_so_often_and_at_the_end_and_do_not_disturb_training(
    new_run: Callable[..., Training],
) -> None:
    often = new_run(evaluation=EvaluationSettings(every_steps=4), folder="often")
    rarely = new_run(evaluation=EvaluationSettings(before_training=False), folder="rarely")
    train(often)
    train(rarely)
    assert list(often.reporter.of("score")) == [0, 4, 6]  # type: ignore[attr-defined]
    assert list(rarely.reporter.of("score")) == [6]  # type: ignore[attr-defined]
    assert often.reporter.of("loss") == rarely.reporter.of("loss")  # type: ignore[attr-defined]


def test_the_model_learns_and_its_steps_are_logged_with_what_people_want_to_know(
    new_run: Callable[..., Training],
) -> None:
    run = new_run(training=TrainingSettings(log_every_steps=4))
    train(run)
    losses = run.reporter.of("loss")  # type: ignore[attr-defined]
    assert list(losses) == [4, 6]
    values = run.reporter.lines[-2][1]  # type: ignore[attr-defined]
    assert values.keys() == {
        "loss",
        "grad_norm",
        "learning_rate/image_encoder",
        "learning_rate/connector",
        "learning_rate/embeddings",
        "learning_rate/decoder",
        "examples_per_second",
        "tokens_per_second",
        "memory_gib",
    }


def test_checkpoints_come_every_so_often_and_at_the_end_and_the_best_one_stays(
    new_run: Callable[..., Training],
) -> None:
    scores = {0: 100.0, 1: 1.0, 2: 5.0, 3: 2.0, 4: 3.0, 5: 4.0, 6: 1.0}
    run = new_run(
        evaluate=lambda step: {"score": scores[step]},
        evaluation=EvaluationSettings(every_steps=1, best_metric="score"),
        checkpoint=CheckpointSettings(every_steps=4),
    )
    counters = train(run)
    assert (counters.best_step, counters.best_value) == (2, 5.0)
    assert run.checkpoints.steps() == [6, 4, 2]
    assert run.checkpoints.best() == 2


def test_patience_ends_a_run_and_a_resumed_run_stays_ended(new_run: Callable[..., Training]) -> None:
    changes: dict[str, Any] = {
        "evaluate": lambda step: {"score": -float(step)},
        "evaluation": EvaluationSettings(every_steps=1, best_metric="score", patience=2),
    }
    run = new_run(**changes)
    counters = train(run)
    assert (counters.step, counters.best_step) == (3, 1)
    again = new_run(**changes)
    assert train(again) == counters
    assert again.reporter.lines == []  # type: ignore[attr-defined]
    for told in (run, again):
        assert told.reporter.said[-1] == (  # type: ignore[attr-defined]
            "stopped early after step 3 of 6: score did not improve for 2 evaluations (best: step 1)"
        )


def test_a_resumed_run_with_another_best_metric_looks_for_its_best_anew(
    new_run: Callable[..., Training], windows: Any
) -> None:
    def evaluate(step: int) -> Mapping[str, float]:
        return {"recall": 100.0 - step, "score": float(step)}

    def cut(start_step: int, stop_step: int) -> Iterator[Window]:
        yield from windows(start_step, 4)
        raise Killed

    recall = EvaluationSettings(every_steps=1, best_metric="recall", patience=5)
    with pytest.raises(Killed):
        train(new_run(evaluate=evaluate, evaluation=recall, windows=cut))
    score = EvaluationSettings(every_steps=1, best_metric="score", patience=1)
    counters = train(new_run(evaluate=evaluate, evaluation=score))
    assert (counters.best_metric, counters.best_step, counters.best_value) == ("score", 6, 6.0)


def test_a_finished_run_has_nothing_left_to_do(new_run: Callable[..., Training]) -> None:
    first = new_run()
    counters = train(first)
    second = new_run(reporter=first.reporter)
    before = first.reporter.exact()  # type: ignore[attr-defined]
    assert train(second) == counters
    assert_same_outcome(second, first)
    assert second.reporter.exact() == before  # type: ignore[attr-defined]


def test_a_damaged_newest_checkpoint_costs_one_interval_and_nothing_else(new_run: Callable[..., Training]) -> None:
    reference = new_run(folder="reference")
    train(reference)
    first = new_run()
    train(first)
    (first.checkpoints.path(6) / "trained.safetensors").write_bytes(b"")
    second = new_run(reporter=first.reporter)
    train(second)
    assert any("step-00000006/trained.safetensors has 0 bytes" in text for text in second.reporter.said)  # type: ignore[attr-defined]
    assert_same_outcome(second, reference)


def test_three_bad_steps_in_a_row_stop_the_run_with_the_samples_named(
    new_run: Callable[..., Training], monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetune.engine.loss import micro_batch_loss

    calls: list[int] = []

    def poisoned(*args: Any, **settings: Any) -> tuple[Tensor, Tensor]:
        calls.append(len(calls))
        # Two micro-batches a step: step 0 is bad, step 1 is good, all later ones are bad.
        factor = 1.0 if calls[-1] in (2, 3) else math.nan
        share, sums = micro_batch_loss(*args, **settings)
        return share * factor, sums * factor

    monkeypatch.setattr("finetune.engine.step.micro_batch_loss", poisoned)
    run = new_run()
    with pytest.raises(NonFiniteError, match=r"step 5: loss nan.*samples: sample-0, sample-1") as stop:
        train(run)
    assert stop.value.exit_code == 3
    # There is no wider format than the one in use.
    assert "training.precision" not in str(stop.value)
    losses = run.reporter.of("loss")  # type: ignore[attr-defined]
    assert [math.isnan(loss) for loss in losses.values()] == [True, False, True, True, True]
    assert sum("No weight was changed" in text for text in run.reporter.said) == 4  # type: ignore[attr-defined]


def test_skips_are_reported_and_too_many_stop_the_run(new_run: Callable[..., Training], windows: Any) -> None:
    def skipping(start_step: int, stop_step: int) -> Iterator[Window]:
        for window in windows(start_step, stop_step):
            skip = Skip(
                sample_id=f"bad-{window.step}",
                origin="train.jsonl:3",
                field_name="image",
                code="truncated-image",
                message="ends early",
                index=2,
            )
            yield replace(window, skips=(skip,), notes={"boxes over the limit": 2})

    run = new_run(windows=skipping, max_skips=6)
    counters = train(run)
    assert run.reporter.skips == [f"bad-{step}" for step in range(6)]  # type: ignore[attr-defined]
    assert (len(counters.skipped), counters.notes) == (6, {"boxes over the limit": 12})
    with pytest.raises(ValueError, match=r"3 samples were skipped, data.max_skips allows 2; .*train.jsonl:3: image"):
        train(new_run(windows=skipping, max_skips=2, folder="strict"))


def test_a_sample_that_is_skipped_in_every_epoch_counts_and_is_reported_once(
    new_run: Callable[..., Training], windows: Any
) -> None:
    skip = Skip(sample_id="7", origin="rows:3", field_name="image", code="empty-file", message="is empty", index=2)

    def skipping(start_step: int, stop_step: int) -> Iterator[Window]:
        for window in windows(start_step, stop_step):
            yield replace(window, skips=(skip, skip))

    def dying(start_step: int, stop_step: int) -> Iterator[Window]:
        for window in skipping(start_step, stop_step):
            if window.step == 3:
                raise Killed
            yield window

    run = new_run(windows=dying, max_skips=1)
    with pytest.raises(Killed):
        train(run)
    assert list(train(new_run(windows=skipping, max_skips=1, reporter=run.reporter)).skipped) == ["rows:3 7"]
    assert run.reporter.skips == ["7"]  # type: ignore[attr-defined]


def test_checkpoints_of_other_settings_are_refused(new_run: Callable[..., Training]) -> None:
    train(new_run())
    with pytest.raises(ValueError, match="saved by a run with other settings"):
        train(new_run(identity=Identity(settings={"seed": 8})))


def test_a_run_can_be_made_longer_but_not_shorter_than_it_is(new_run: Callable[..., Training]) -> None:
    def with_steps(run: Training, total_steps: int) -> Training:
        return replace(run, learner=replace(run.learner, rules=replace(run.learner.rules, total_steps=total_steps)))

    first = with_steps(new_run(), 3)
    train(first)
    second = with_steps(new_run(reporter=first.reporter), NUM_STEPS)
    train(second)
    reference = new_run(folder="reference")
    train(reference)
    assert_same_outcome(second, reference)
    with pytest.raises(ValueError, match="has done 6 steps already, more than the 4 asked for"):
        train(with_steps(new_run(), 4))


def test_a_run_of_no_steps_evaluates_once_and_saves(new_run: Callable[..., Training]) -> None:
    run = new_run()
    run = replace(run, learner=replace(run.learner, rules=replace(run.learner.rules, total_steps=0)))
    assert train(run) == Counters(evaluated_step=0)
    assert list(run.reporter.of("score")) == [0]  # type: ignore[attr-defined]
    assert run.checkpoints.newest() == 0
