"""`finetune predict`: what a model says to images, one JSON line each, and drawn on them if that is wanted."""

import sys
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

from finetune.commands.caches import all_rows, with_caches
from finetune.commands.drawings import Drawn, write_drawings
from finetune.commands.session import Session, evaluation_parts, evaluator_of, load_weights, open_session
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

    Lines come in the order of the samples, each as soon as it and those before it are there; the drawings come last.
    A command that is broken off leaves the lines that it wrote. Started again, it begins again: settings and weights
    may be others by then.

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
        said = _say_all(session, ingredients, to, progress)
    if session.ranks.is_main:
        if to is not None:
            print(f"{len(said)} predictions: {to}")
        if command.drawings is not None:
            # The lines may be on their way into another program, which wants nothing else.
            print(f"drawings: {write_drawings(Path(command.drawings), said)}", file=sys.stderr)
    session.ranks.end()


def _say_all(session: Session, ingredients: tuple[Ingredient, ...], to: Path | None, progress: Progress) -> list[Drawn]:
    """Write the lines; return what is in them."""
    evaluator = evaluator_of(session, progress)
    said: list[Drawn] = []
    # Only the main rank writes, though every rank hears all answers.
    with growing_predictions(to) if session.ranks.is_main else nullcontext(_write_nothing) as write:
        for part, ingredient in zip(evaluation_parts(session, ingredients), ingredients, strict=True):
            for one in answers_in_order(part, evaluator):
                if isinstance(one, Skip):
                    progress.say(f"skipped: {one.to_error()}")
                    continue
                (row,) = rows_of(part, [one], [None])
                write(row)
                said.append(Drawn(row=row, source=ingredient.source, index=one.index))
    return said


def _progress(*, is_main: bool, to: Path | None) -> Progress:
    # Bars cannot share a terminal with lines on standard output.
    if is_main and to is None and sys.stdout.isatty():
        return LineProgress(print_to_stderr)
    return progress_for(is_main=is_main)


def _write_nothing(row: PredictionRow) -> None:
    pass
