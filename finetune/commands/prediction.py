"""`finetune predict`: what a model says to images, one JSON line each, and drawn on them if that is wanted."""

import sys
from dataclasses import replace
from pathlib import Path

from finetune.commands.drawings import Drawn, write_drawings
from finetune.commands.session import evaluation_parts, evaluator_of, load_weights, open_session
from finetune.config.commands import PredictCommand
from finetune.config.schema import RunConfig
from finetune.data.loader import Skip
from finetune.data.mixture import Ingredient
from finetune.evaluate.runner import answer, rows_of
from finetune.reporting.progress import progress_for
from finetune.reporting.rows import PredictionRow, row_to_json
from finetune.reporting.run_folder import write_predictions
from finetune.reporting.strict_json import dumps


def predict(config: RunConfig, command: PredictCommand, ingredients: tuple[Ingredient, ...]) -> None:
    """Generate text for every sample; write a line for each to `to`, or to standard output, and draw into `drawings`.

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
    evaluator = evaluator_of(session, progress_for(is_main=session.ranks.is_main))
    predictions: list[Drawn] = []
    skips: list[Skip] = []
    for part, ingredient in zip(evaluation_parts(session, ingredients), ingredients, strict=True):
        answers, left_out = answer(part, evaluator)
        rows = rows_of(part, answers, [None] * len(answers))
        predictions += [
            Drawn(row=row, source=ingredient.source, index=one.index) for row, one in zip(rows, answers, strict=True)
        ]
        skips += left_out
    if session.ranks.is_main:
        _write([one.row for one in predictions], command.to)
        if command.drawings is not None:
            # The lines may be on their way into another program, which wants nothing else.
            print(f"drawings: {write_drawings(Path(command.drawings), predictions)}", file=sys.stderr)
        for skip in skips:
            print(f"skipped: {skip.to_error()}", file=sys.stderr)
    session.ranks.end()


def _write(rows: list[PredictionRow], to: str | None) -> None:
    if to is None:
        for row in rows:
            print(dumps(row_to_json(row, None)))
    else:
        print(f"{len(rows)} predictions: {write_predictions(Path(to), rows)}")
