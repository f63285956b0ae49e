"""`finetune train`: everything that a run needs, connected, and what happens before and after its loop."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace

from finetune.commands.caches import Rows, all_rows, drawn_rows, with_caches
from finetune.commands.description import (
    describe_run,
    groups_table,
    identity_of,
    notes_table,
    parts_table,
    self_test_tables,
)
from finetune.commands.exporting import write_adapter_of
from finetune.commands.memory import choose_checkpointing
from finetune.commands.preflight import HAND_OVER, steps_of
from finetune.commands.proof import prove
from finetune.commands.reporting import early_end_noted, refresh_report, reporter_for, told
from finetune.commands.run_identity import IDENTITY_FILE, override_notes, require_same_settings, run_folder
from finetune.commands.run_lock import locked
from finetune.commands.session import (
    Session,
    checkpoint_store,
    evaluation_parts,
    evaluator_of,
    open_session,
)
from finetune.commands.starts import count_start
from finetune.config.replay import CommandLine, save_command_line
from finetune.config.schema import RunConfig
from finetune.data.loader import TrainingLoader
from finetune.data.missing_images import rows_drawn
from finetune.data.mixture import Ingredient, TrainingSet
from finetune.data.worker_count import worker_count
from finetune.engine.counters import early_stop
from finetune.engine.disk import folder_errors
from finetune.engine.identity import Identity, overridden, read_identity, write_identity
from finetune.engine.loop import Training
from finetune.engine.loop import train as run_loop
from finetune.engine.parameter_groups import check_multipliers, decay_without_effect, parameter_groups
from finetune.engine.signals import StopSignals
from finetune.engine.step import StepRules, make_learner
from finetune.evaluate.answers import EvaluationStoppedError
from finetune.evaluate.metrics.direction import directional, is_better
from finetune.evaluate.report import score_changes
from finetune.evaluate.runner import evaluate_all, report_evaluation
from finetune.export.adapter import check_adapter_export
from finetune.model.dropout import has_dropout
from finetune.model.freeze import trainable_by_part
from finetune.reporting.exit_status import forget_exit_status
from finetune.reporting.reporter import Reporter


def train(
    config: RunConfig, line: CommandLine, training: tuple[Ingredient, ...], evaluation: tuple[Ingredient, ...]
) -> None:
    """Train a run from where it stands to its end.

    Raises:
        ValueError: If the folder is another run's or in use.
        RunStoppedError: If the run ended early, with the process's exit code.
    """
    training_set = TrainingSet(ingredients=training, seed=config.seed)
    total_steps = steps_of(config, len(training_set))
    with StopSignals() as signals, ExitStack() as held:
        with early_end_noted(run_folder(config)):
            session = _opened(config)
            identity: Identity = session.ranks.on_main(lambda: _claim_folder(session, line, held))
        _train(session, identity, signals, training_set, evaluation, total_steps, line.experiment)
    session.ranks.end()


def _opened(config: RunConfig) -> Session:
    """Load the model, and refuse what only a loaded one shows to be wrong."""
    session = open_session(config, is_adapted=True)
    if config.tracking.wants_adapter:
        check_adapter_export(session.loaded, config.peft, **HAND_OVER)
    check_multipliers(session.loaded.model, config.learning_rates)
    return session


def _claim_folder(session: Session, line: CommandLine, held: ExitStack) -> Identity:
    """Make the run's folder this run's, or make sure that it is, and keep others out until `held` is closed.

    Returns:
        What the run is, with the history of what was allowed to change.
    """
    folder, resume = session.folder, session.config.resume
    with folder_errors(folder), ExitStack() as claimed:
        claimed.enter_context(locked(folder))
        identity = identity_of(session)
        path = folder / IDENTITY_FILE
        saved_step = next(iter(checkpoint_store(session.config, print).steps()), -1)
        if path.exists():
            recorded = read_identity(path)
            require_same_settings(recorded, identity, folder, resume.allow)
            identity = overridden(recorded, identity, step=max(0, saved_step))
        count_start(folder, saved_step, resume.max_restarts)
        forget_exit_status(folder)
        save_command_line(folder, line)
        write_identity(path, identity)
        held.enter_context(claimed.pop_all())
    return identity


def _train(
    session: Session,
    identity: Identity,
    signals: StopSignals,
    training_set: TrainingSet,
    evaluation: tuple[Ingredient, ...],
    total_steps: int,
    experiment: str | None,
) -> None:
    """Train in a folder that is this run's alone, and tell how it goes."""
    reporter = reporter_for(session, session.folder)
    with told(session, reporter, session.folder) as ending:
        reporter.start(describe_run(session, total_steps, experiment))
        for note in override_notes(identity):
            reporter.say(note)
        _introduce(session, reporter, training_set)
        session = with_caches(session, _rows_shown(session, training_set, evaluation, total_steps), reporter.progress)
        run = _connect(session, identity, reporter, signals, training_set, evaluation, total_steps)
        with signals.deferred():
            counters = run_loop(replace(run, note_step=ending.note_step))
        ending.reason = early_stop(counters, session.config.evaluation, total_steps) or ending.reason
        if counters.notes:
            _tell_notes(reporter, counters.notes)
        if session.ranks.is_main:
            for line in score_changes(session.folder):
                reporter.say(line)
        if session.config.tracking.wants_adapter:
            session.ranks.on_main(lambda: _hand_over_adapter(session, reporter, counters.step))


def _rows_shown(
    session: Session, training_set: TrainingSet, evaluation: tuple[Ingredient, ...], total_steps: int
) -> Rows:
    """Return the rows that the whole run shows, whether it begins here or goes on."""
    drawn = rows_drawn(training_set, total_steps * session.config.training.global_batch_size)
    evaluated = all_rows(evaluation, session.config.evaluation.num_samples)
    return [*drawn_rows(training_set.ingredients, drawn), *evaluated]


def _introduce(session: Session, reporter: Reporter, training_set: TrainingSet) -> None:
    """Say what trains and what is in force, and prove that the model computes what it should."""
    for note in session.loaded.notes:
        reporter.say(f"model: {note}")
    parts = parts_table(trainable_by_part(session.loaded.model))
    for row in parts.rows:
        reporter.say("trains: {:<14} {:>13} of {:>13} ({})".format(*row))
    reporter.add_table(parts)
    _introduce_optimizer(session, reporter)
    how_often = "once" if _shares_images(session) else "for each of them, because dropout is in use"
    reporter.say(f"what examples of a micro-batch have in common, images and prefixes, is computed {how_often}")
    if session.config.self_test.enabled:
        report = prove(session, training_set)
        for line in report.lines():
            reporter.say(f"self-test: {line}")
        for table in self_test_tables(report):
            reporter.add_table(table)


def _introduce_optimizer(session: Session, reporter: Reporter) -> None:
    """Say at which learning rate each part trains, and what decays."""
    choice = session.config.optimizer
    groups = parameter_groups(session.loaded.model, choice, session.config.learning_rates)
    # torch takes the names out of the groups that it is given.
    note = decay_without_effect(choice, groups)
    table = groups_table(choice.build(groups).param_groups)
    for row in table.rows:
        reporter.say("optimizer: {:<11} {:>13} parameters, learning rate {} at most, weight decay {}".format(*row))
    if note is not None:
        reporter.say(f"optimizer: {note}")
    reporter.add_table(table)


def _tell_notes(reporter: Reporter, notes: Mapping[str, int]) -> None:
    """Say what was left out or changed on purpose, over all steps: a sample counts each time it is drawn."""
    table = notes_table(notes)
    for note, count in table.rows:
        reporter.say(f"left out or changed: {count} x {note}")
    reporter.add_table(table)


def _connect(
    session: Session,
    identity: Identity,
    reporter: Reporter,
    signals: StopSignals,
    training_set: TrainingSet,
    evaluation: tuple[Ingredient, ...],
    total_steps: int,
) -> Training:
    """Put the parts of the loop together."""
    config = session.config
    rules = StepRules(
        training=replace(config.training, gradient_checkpointing=choose_checkpointing(config, reporter.say)),
        schedule=config.schedule,
        total_steps=total_steps,
        vocabulary_size=session.loaded.tokenizer.vocabulary_size,
        seed=config.seed,
    )
    return Training(
        learner=make_learner(session.loaded.model, config.optimizer, config.learning_rates, session.ranks, rules),
        windows=_loader_of(session, training_set, total_steps, reporter).windows,
        checkpoints=checkpoint_store(config, reporter.warn),
        reporter=reporter,
        signals=signals,
        evaluate=_scoring(session, reporter, signals, evaluation),
        is_better=is_better,
        identity=identity,
        evaluation=config.evaluation,
        checkpoint=config.checkpoint,
        max_skips=config.data.max_skips,
    )


def _loader_of(session: Session, training_set: TrainingSet, total_steps: int, reporter: Reporter) -> TrainingLoader:
    """Return what yields this rank's part of every step, and say with how many processes."""
    config, ranks = session.config, session.ranks
    num_samples = total_steps * config.training.global_batch_size // ranks.world_size
    workers = worker_count(session.encoder, training_set.ingredients, num_samples=num_samples, device=ranks.device)
    reporter.say(f"data: {workers.reason}")
    return TrainingLoader(
        training_set,
        session.encoder,
        seed=config.seed,
        global_batch_size=config.training.global_batch_size,
        micro_batch_size=config.training.micro_batch_size,
        rank=ranks.rank,
        world_size=ranks.world_size,
        shares_images=_shares_images(session),
        num_workers=workers.num_workers,
        pins_memory=ranks.device.type == "cuda",
    )


def _shares_images(session: Session) -> bool:
    """Whether examples that have an image or a prefix in common may have what is dropped from it in common too."""
    return not session.config.training.residual_dropout and not has_dropout(session.loaded.model)


def _scoring(
    session: Session, reporter: Reporter, signals: StopSignals, evaluation: tuple[Ingredient, ...]
) -> Callable[[int], Mapping[str, float] | None]:
    """Return what evaluates and reports after a step; it gives None where a signal cut it short."""
    parts = evaluation_parts(session, evaluation)
    evaluator = evaluator_of(session, reporter.progress, lambda: signals.requested is not None)

    def score(step: int) -> Mapping[str, float] | None:
        try:
            result = evaluate_all(parts, evaluator)
        except EvaluationStoppedError:
            return None
        report_evaluation(result, reporter, step)
        if session.ranks.is_main:
            refresh_report(session.folder, reporter.warn)
        return directional(result.values)

    return score


def _hand_over_adapter(session: Session, reporter: Reporter, step: int) -> None:
    folder = session.folder / "export" / "adapter"
    write_adapter_of(session, folder, step)
    reporter.log_artifact(folder, f"{session.config.name}-adapter")
