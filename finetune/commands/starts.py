"""How often a run was started in a row without having saved anything new: a scheduler would go on for ever.

    {"saved_step": 1200, "count": 2}

A start counts when the one before it was killed, preempted, out of disk or ended by a bug. One that a person ended, or
that found a mistake for a person to mend, is not held against the run.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from finetune.engine.stops import NoProgressError
from finetune.reporting.exit_status import DONE, INTERRUPTED, MISTAKE, ExitStatus, read_exit_status
from finetune.reporting.strict_json import dumps, write_file

STARTS_FILE = "starts.json"
_HARMLESS = (DONE, MISTAKE, INTERRUPTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starts:
    """The latest starts of a run.

    Args:
        saved_step: The newest checkpoint when the first of them began; -1: none.
        count: How many there were.
    """

    saved_step: int
    count: int


def count_start(folder: Path, saved_step: int, max_restarts: int | None) -> None:
    """Count this start of the run in a folder, which was begun or saved before now.

    Args:
        saved_step: The newest checkpoint; -1: none.
        max_restarts: How many starts may follow the first one without a newer checkpoint; None: any number.

    Raises:
        NoProgressError: If there were so many.
    """
    starts = _next(_read(folder), saved_step, read_exit_status(folder))
    write_file(folder / STARTS_FILE, dumps(asdict(starts)) + "\n")
    if max_restarts is not None and starts.count > max_restarts + 1:
        since = "it began" if saved_step < 0 else f"the checkpoint of step {saved_step}"
        raise NoProgressError(
            f"the run in {folder} was started {starts.count - 1} times since {since} and saved nothing new; find out "
            f"why (exit_status.json, the log), then start it with resume.max_restarts={starts.count - 1} or =null"
        )


def _next(before: Starts | None, saved_step: int, ended: ExitStatus | None) -> Starts:
    if before is None or saved_step > before.saved_step:
        return Starts(saved_step=saved_step, count=1)
    is_harmless = ended is not None and ended.code in _HARMLESS
    return replace(before, count=before.count + (not is_harmless))


def _read(folder: Path) -> Starts | None:
    path = folder / STARTS_FILE
    return Starts(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None
