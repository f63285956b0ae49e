"""`finetune predict`: what a model says to images, one JSON line each, and drawn on them if that is wanted."""

import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from finetune.commands.caches import all_rows, with_caches
from finetune.commands.drawings import Drawn, write_drawings
from finetune.commands.session import Session, evaluation_parts, evaluator_of, load_weights, open_session
from finetune.commands.submission import layout_of, write_for_server
from finetune.config.commands import PredictCommand
from finetune.config.schema import RunConfig
from finetune.data.mixture import Ingredient
from finetune.data.skips import Skip
from finetune.evaluate.answers import answers_in_order
from finetune.evaluate.runner import rows_of
from finetune.reporting.prediction_file import growing_predictions
from finetune.reporting.progress import LineProgress, Progress, print_to_stderr, progress_for
from finetune.reporting.rows import PredictionRow


def predict(config: RunConfig, command: PredictCommand, ingredients: tuple[Ingredient, ...]) -> None:
    """Generate text for every sample; write a line for each to `to`, or to standard output, and draw into `drawings`.

    Lines come in the order of the samples, each as soon as it and those before it are there; drawings and submission
    come last. A command that is broken off leaves the lines that it wrote. Started again, it begins again: settings and
    weights may be others by then.

    Raises:
        ValueError: If the run has no such checkpoint.
        BadSampleError: With data.on_bad_sample=stop, at the first image that cannot be used.
    """
    if command.images:
        # evaluation.num_samples is of a split; whoever names images wants all of them.
        config = replace(config, evaluation=replace(config.evaluation, num_samples=None))
    session = open_session(config, is_adapted=command.run is not None)
    if command.run is not None:
        load_weights(session, command.weights)
    to = None if command.to is None else Path(command.to)
    with closing(_progress(is_main=session.ranks.is_main, to=to)) as progress:
        session = with_caches(session, all_rows(ingredients, config.evaluation.num_samples), progress)
        is_told = session.ranks.is_main and (to is not None or command.submission is None)
        # Only the main rank writes, though every rank hears all answers.
        with growing_predictions(to) if is_told else nullcontext(_write_nothing) as write:
            said = _say_all(session, ingredients, write, progress)
    if session.ranks.is_main:
        if to is not None:
            print(f"{len(said.drawn)} predictions: {to}")
        if command.drawings is not None:
            # The lines may be on their way into another program, which wants nothing else.
            print(f"drawings: {write_drawings(Path(command.drawings), said.drawn)}", file=sys.stderr)
        if command.submission is not None:
            write_for_server(Path(command.submission), layout_of(config), said.answers, said.num_skipped)
    session.ranks.end()


@dataclass(slots=True, kw_only=True)
class _Said:
    """What was said to all samples. `answers` name each by its id in public."""

    drawn: list[Drawn] = field(default_factory=list)
    answers: list[tuple[str | int, str]] = field(default_factory=list)
    num_skipped: int = 0


def _say_all(
    session: Session,
    ingredients: tuple[Ingredient, ...],
    write: Callable[[PredictionRow], None],
    progress: Progress,
) -> _Said:
    """Write the lines; return what is in them."""
    evaluator = evaluator_of(session, progress)
    said = _Said()
    for part, ingredient in zip(evaluation_parts(session, ingredients), ingredients, strict=True):
        for one in answers_in_order(part, evaluator):
            if isinstance(one, Skip):
                progress.say(f"skipped: {one.to_error()}")
                said.num_skipped += 1
                continue
            (row,) = rows_of(part, [one], [None])
            write(row)
            said.drawn.append(Drawn(row=row, source=ingredient.source, index=one.index))
            sample = one.sample
            public_id = sample.sample_id if sample.public_id is None else sample.public_id
            said.answers.append((public_id, one.prediction.text))
    return said


def _progress(*, is_main: bool, to: Path | None) -> Progress:
    # Bars cannot share a terminal with lines on standard output.
    if is_main and to is None and sys.stdout.isatty():
        return LineProgress(print_to_stderr)
    return progress_for(is_main=is_main)


def _write_nothing(row: PredictionRow) -> None:
    pass
