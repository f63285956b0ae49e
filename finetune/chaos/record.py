"""The table of promises on the terminal, and all that was found as JSON.

{"schema": 1, "run": {"name": ..., "replaced": [...]}, "made_by": {...}, "promises": [{"fault": "kills", "text": ...,
 "tried": 200, "held": 200, "worst": "...", "seconds": 61.2, "problems": [], "not_tried": ""}, ...], "kept": true}
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from finetune.chaos.promise import Promise
from finetune.reporting.strict_json import write_file

SCHEMA = 1
_NUM_SHOWN_PROBLEMS = 5
# Where there is no terminal to fit into.
_WIDE = (160, 24)


class BrokenPromiseError(Exception):
    """A promise did not hold."""

    exit_code = 1


def is_kept(promises: Sequence[Promise]) -> bool:
    """Whether something was tried, and all of it held."""
    return any(promise.tried for promise in promises) and not any(promise.is_broken for promise in promises)


def write_record(path: Path, promises: Sequence[Promise], facts: Mapping[str, Any]) -> None:
    """Write what was found so far."""
    rows = [
        {
            "fault": one.fault,
            "text": one.text,
            "tried": one.tried,
            "held": one.held,
            "worst": one.worst,
            "seconds": round(one.seconds, 1),
            "problems": one.problems,
            "not_tried": one.not_tried,
        }
        for one in promises
    ]
    content = {"schema": SCHEMA, **facts, "promises": rows, "kept": is_kept(promises)}
    write_file(path, json.dumps(content, indent=1) + "\n")


def print_promises(promises: Sequence[Promise]) -> None:
    """Print the table, and below it what did not hold and what was not tried."""
    table = Table(title="Promises", title_justify="left")
    table.add_column("promise", overflow="fold")
    for heading in ("tried", "held"):
        table.add_column(heading, justify="right")
    table.add_column("worst", overflow="fold")
    table.add_column("seconds", justify="right")
    for one in promises:
        tried, held = (str(one.tried), str(one.held)) if one.tried else ("not tried", "")
        table.add_row(one.text, tried, held, one.worst, f"{one.seconds:.0f}" if one.tried else "")
    console = Console(width=shutil.get_terminal_size(_WIDE).columns, markup=False, highlight=False)
    console.print(table)
    for one in promises:
        for problem in one.problems[:_NUM_SHOWN_PROBLEMS]:
            console.print(f"did not hold: {one.fault}: {problem}")
        if len(one.problems) > _NUM_SHOWN_PROBLEMS:
            console.print(f"did not hold: {one.fault}: and {len(one.problems) - _NUM_SHOWN_PROBLEMS} more")
        if one.not_tried:
            console.print(f"not tried: {one.fault}: {one.not_tried}")
