"""Answers as the file that a data set's server takes."""

import json
from collections.abc import Sequence
from pathlib import Path

from finetune.published import SubmissionFormat
from finetune.reporting.strict_json import write_file


def write_submission(path: Path, layout: SubmissionFormat, answers: Sequence[tuple[str | int, str]]) -> None:
    """Write answers to `path` in one step.

    Args:
        answers: Each row's id, as its data set's authors call it, and what the model said.

    Raises:
        ValueError: If two rows have one id, which a server would take for one answer.
    """
    write_file(path, submission_json(layout, answers) + "\n")


def submission_json(layout: SubmissionFormat, answers: Sequence[tuple[str | int, str]]) -> str:
    """Return the file's text; arguments and errors are those of `write_submission`."""
    seen = set()
    for public_id, _ in answers:
        if public_id in seen:
            raise ValueError(f"submission: two answers for {layout.id_key or 'id'} {public_id!r}; a server takes one")
        seen.add(public_id)
    if layout.id_key is None:
        return json.dumps({str(public_id): {layout.answer_key: text} for public_id, text in answers})
    return json.dumps([{layout.id_key: public_id, layout.answer_key: text} for public_id, text in answers])
