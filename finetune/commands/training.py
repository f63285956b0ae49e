"""`finetune train`: everything that a run needs, connected, and what happens before and after its loop."""

import math
from collections.abc import Mapping, Sequence

from finetune.commands.description import describe_run, identity_of, parts_table, self_test_tables
from finetune.commands.exporting import write_adapter_of
from finetune.commands.proof import prove
from finetune.commands.reporting import reporter_for, told
from finetune.commands.session import (
    Session,
    checkpoint_store,
    evaluation_parts,
    evaluator_of,
    open_session,
    run_folder,
)
from finetune.config.replay import save_overrides
from finetune.config.schema import RunConfig
from finetune.data.loader import TrainingLoader
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.engine.identity import read_identity, require_same, write_identity
from finetune.engine.loop import Training
from finetune.engine.loop import train as run_loop
from finetune.engine.signals import StopSignals
from finetune.engine.step import StepRules, make_learner
from finetune.evaluate.metrics.direction import is_better
from finetune.evaluate.report import write_report
from finetune.evaluate.runner import EvaluationStoppedError, evaluate_all, report_evaluation
from finetune.model.freeze import trainable_by_part
from finetune.reporting.reporter import Reporter
from finetune.settings import Resume

IDENTITY_FILE = "identity.json"


def train(
    config: RunConfig, overrides: Sequence[str], training: tuple[Ingredient, ...], evaluation: tuple[Ingredient, ...]
) -> None:
    """Train a run from where it stands to its end.

    Raises:
        ValueError: If the folder is another run's, or `resume` forbids what it would take.
        RunStoppedError: If the run ended early, with the process's exit code.
    """
    require_resumable(config)
    training_set = TrainingSet(ingredients=training, seed=config.seed)
    total_steps = steps_of(config, len(training_set))
    config.schedule.check(total_steps)
    session = open_session(config, is_adapted=True)
    session.ranks.on_main(lambda: _claim_folder(session, overrides))
    reporter = reporter_for(session, session.folder)
    reporter.start(describe_run(session, total_steps))
    with told(session, reporter, session.folder):
        _introduce(session, reporter, training_set)
        with StopSignals() as signals:
            counters = run_loop(_connect(session, reporter, signals, training_set, evaluation, total_steps))
        if config.tracking.wants_adapter:
            session.ranks.on_main(lambda: _hand_over_adapter(session, reporter, counters.step))
    session.ranks.end()


def require_resumable(config: RunConfig) -> None:
    """Hold the run's folder against `resume`.

    Raises:
        ValueError: If the folder is there and must not be, or is not and must.
    """
    identity = run_folder(config) / IDENTITY_FILE
    if config.resume is Resume.never and identity.exists():
        raise ValueError(f"resume=never, but {identity.parent} holds a run already; give this one another name")
    if config.resume is Resume.require and not identity.exists():
        raise ValueError(f"resume=require, but {identity.parent} holds no run; check name and runs")


def steps_of(config: RunConfig, epoch_length: int) -> int:
    """Return the run's optimizer steps; a last window that is begun is finished."""
    training = config.training
    if training.max_steps is not None:
        return training.max_steps
    assert training.epochs is not None, "the settings hold exactly one of the two"
    return math.ceil(training.epochs * epoch_length / training.global_batch_size)


def _claim_folder(session: Session, overrides: Sequence[str]) -> None:
    """Make the run's folder this run's, or make sure that it is."""
    identity = identity_of(session)
    path = session.folder / IDENTITY_FILE
    if path.exists():
        require_same(read_identity(path), identity, session.folder)
    session.folder.mkdir(parents=True, exist_ok=True)
    save_overrides(session.folder, overrides)
    write_identity(path, identity)


def _introduce(session: Session, reporter: Reporter, training_set: TrainingSet) -> None:
    """Say what trains and what is in force, and prove that the model computes what it should."""
    for note in session.loaded.notes:
        reporter.say(f"model: {note}")
    parts = parts_table(trainable_by_part(session.loaded.model))
    for row in parts.rows:
        reporter.say("trains: {:<14} {:>13} of {:>13} ({})".format(*row))
    reporter.add_table(parts)
    if session.config.self_test.enabled:
        report = prove(session, training_set)
        for line in report.lines():
            reporter.say(f"self-test: {line}")
        for table in self_test_tables(report):
            reporter.add_table(table)


def _connect(
    session: Session,
    reporter: Reporter,
    signals: StopSignals,
    training_set: TrainingSet,
    evaluation: tuple[Ingredient, ...],
    total_steps: int,
) -> Training:
    """Put the parts of the loop together."""
    config, ranks = session.config, session.ranks
    loader = TrainingLoader(
        training_set,
        session.encoder,
        seed=config.seed,
        global_batch_size=config.training.global_batch_size,
        micro_batch_size=config.training.micro_batch_size,
        rank=ranks.rank,
        world_size=ranks.world_size,
        num_workers=config.data.num_workers,
    )
    rules = StepRules(
        training=config.training,
        schedule=config.schedule,
        total_steps=total_steps,
        vocabulary_size=session.loaded.tokenizer.vocabulary_size,
        seed=config.seed,
    )
    parts = evaluation_parts(session, evaluation)
    evaluator = evaluator_of(session, reporter.progress, lambda: signals.requested is not None)

    def score(step: int) -> Mapping[str, float] | None:
        try:
            result = evaluate_all(parts, evaluator)
        except EvaluationStoppedError:
            return None
        report_evaluation(result, reporter, step)
        if ranks.is_main:
            write_report(session.folder)
        return result.values

    return Training(
        learner=make_learner(session.loaded.model, config.optimizer, config.learning_rates, ranks, rules),
        windows=loader.windows,
        checkpoints=checkpoint_store(config, reporter.warn),
        reporter=reporter,
        signals=signals,
        evaluate=score,
        is_better=is_better,
        identity=identity_of(session),
        evaluation=config.evaluation,
        checkpoint=config.checkpoint,
        max_skips=config.data.max_skips,
    )


def _hand_over_adapter(session: Session, reporter: Reporter, step: int) -> None:
    folder = session.folder / "export" / "adapter"
    write_adapter_of(session, folder, step)
    reporter.log_artifact(folder, f"{session.config.name}-adapter")
