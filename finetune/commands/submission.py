"""What a file for a data set's server must be: of one data set that has a server, and complete. Without torch."""

import sys
from pathlib import Path

from finetune.config.schema import RunConfig
from finetune.data.mixture import Ingredient, Mixture
from finetune.published import SubmissionFormat, Submits
from finetune.reporting.submission_file import write_submission
from finetune.types import Dataset
from finetune.wording import counted


def layout_of(config: RunConfig) -> SubmissionFormat:
    """Return what the server of the run's data set takes.

    Raises:
        ValueError: If there is none, or the run has several data sets.
    """
    if isinstance(config.recipe, Mixture):
        raise ValueError(
            "submission needs one task and its data set; recipe=mixture has parts, each for another server"
        )
    if not isinstance(config.dataset, Submits):
        raise ValueError(
            f"submission: {type(config.dataset).__name__} names no server that scores hidden answers; "
            "finetune evaluate scores a split whose answers are there"
        )
    return config.dataset.submission


def require_complete(config: RunConfig, dataset: Dataset, split: str, ingredient: Ingredient) -> None:
    """Refuse to answer a part of a split: a server scores what is missing as wrong, or takes no such file.

    Raises:
        ValueError: Naming the setting.
    """
    total, limit = len(ingredient.source), config.evaluation.num_samples
    if limit is not None and limit < total:
        raise ValueError(
            f"submission: evaluation.num_samples={limit} would answer {limit:,} of {counted(total, 'sample')}; set "
            "evaluation.num_samples=null"
        )
    if ingredient.recipe.selection() is not None and (whole := len(dataset.open(split))) != total:
        raise ValueError(f"submission: only {total:,} of {counted(whole, 'sample')} of the split take part in the task")


def write_for_server(
    path: Path, layout: SubmissionFormat, answers: list[tuple[str | int, str]], num_skipped: int
) -> None:
    """Write the file, and say where to send it.

    Args:
        num_skipped: Samples that data.on_bad_sample=skip left out.

    Raises:
        ValueError: If two rows have one id.
    """
    write_submission(path, layout, answers)
    if num_skipped:
        print(
            f"warning: {counted(num_skipped, 'sample')} skipped and missing from {path}: the server may score them as "
            "wrong, or refuse the file",
            file=sys.stderr,
        )
    print(
        f"{counted(len(answers), 'answer')}: {path}, for {layout.server}{f'; {layout.advice}' if layout.advice else ''}"
    )
