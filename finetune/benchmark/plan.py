"""Sections one after the other, the most valuable first, until the time is up."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from finetune.benchmark.gates import GateError
from finetune.benchmark.record import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A section to measure.

    Args:
        seconds: About how long it takes; with less time left it is not begun.
    """

    title: str
    seconds: float
    measure: Callable[[], Mapping[str, Any]]


def run_jobs(
    jobs: Sequence[Job],
    record: Record,
    *,
    budget_seconds: float | None,
    say: Callable[[str], None],
    show: Callable[[Mapping[str, Any]], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Measure each job's section, keep it as it ends, and show it.

    Args:
        budget_seconds: From now on, for all of them; None: as long as it takes.

    Raises:
        GateError: The first one, when all jobs have had their turn; what failed a gate has no times in the record.
    """
    started = clock()
    failure: GateError | None = None
    for job in jobs:
        left = None if budget_seconds is None else budget_seconds - (clock() - started)
        if left is not None and left < job.seconds:
            record.leave_out(job.title, f"{max(0.0, left):.0f} s were left and it takes about {job.seconds:.0f}")
            say(f"left out: {job.title}")
            continue
        began = clock()
        try:
            section = job.measure()
        except GateError as error:
            record.leave_out(job.title, str(error))
            failure = failure or error
            continue
        except torch.OutOfMemoryError:
            record.leave_out(job.title, "out of memory")
            continue
        record.add({**section, "took_seconds": clock() - began})
        show(section)
    if failure is not None:
        raise failure
