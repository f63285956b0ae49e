"""A long training with many saves and evaluations, watched from outside: nothing that it holds may grow."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.chaos.choices import Fault
from finetune.chaos.evidence import METRICS, published, torn
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.processes import Child
from finetune.chaos.promise import Promise

_TASK = "soak"
LARGEST_SLOPE_MB = 1.0
_NUM_SAVES, _NUM_EVALUATIONS = 200, 20
_SAMPLE_SECONDS = 0.5
_TAIL_BYTES = 4096
_PAGE_MB = 4096 / 1e6
# Caches fill and the allocator finds its size in the first part of a run.
_WARM_UP = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A process at one moment.

    Args:
        step: Steps logged so far.
        memory_mb: Resident memory, in 10^6 bytes.
        shared: Files of shared memory that are mapped.
        zombies: Children that have ended and were not waited for.
    """

    step: int
    seconds: float
    memory_mb: float
    descriptors: int
    threads: int
    shared: int
    zombies: int


def soak(lab: Laboratory, method: str, num_steps: int) -> Promise:
    """Train for long, and look for what grows."""
    promise = Promise(
        fault=Fault.soak.name,
        text=f"{num_steps:,} steps, {_NUM_SAVES} saves, {_NUM_EVALUATIONS} evaluations, {method}: memory grows by "
        f"{LARGEST_SLOPE_MB:g} MB in 1,000 steps at most, descriptors, threads and shared memory not at all",
    )
    trial = Trial(
        name=f"soak-{method}",
        method=method,
        num_steps=num_steps,
        save_every=num_steps // _NUM_SAVES,
        evaluate_every=num_steps // _NUM_EVALUATIONS,
        micro_batch_size=4,
    )
    lab.progress.begin(_TASK, num_steps)
    child = lab.start(trial)
    readings = _watch(lab, trial, child)
    lab.progress.end(_TASK)
    problems = [] if child.code == 0 else [f"it ended with {child.code}: {child.last_words()}"]
    problems += torn(lab.folder(trial)) + growth(readings)
    if not published(lab.folder(trial)):
        problems.append("no checkpoint is there")
    promise.worst = told(readings)
    if promise.note(problems, trial.name):
        lab.forget(trial)
    return promise


def growth(readings: Sequence[Reading]) -> list[str]:
    """Say what grew."""
    settled = _settled(readings)
    if len(settled) < 4:
        return [f"too short to judge: {len(readings)} readings"]
    problems = []
    slope = memory_slope(settled)
    if not slope <= LARGEST_SLOPE_MB:
        problems.append(f"memory grew by {slope:.2f} MB in 1,000 steps")
    quarter = max(1, len(settled) // 4)
    for name in ("descriptors", "threads", "shared", "zombies"):
        # The least of many readings: a save or an evaluation in progress holds some of its own.
        before, after = (min(getattr(one, name) for one in part) for part in (settled[:quarter], settled[-quarter:]))
        if after > before:
            problems.append(f"{name}: {before} at first, {after} at the end")
    return problems


def memory_slope(readings: Sequence[Reading]) -> float:
    """Return the growth of memory in MB for 1,000 steps: the slope of the line through all readings."""
    mean_step = sum(one.step for one in readings) / len(readings)
    mean_memory = sum(one.memory_mb for one in readings) / len(readings)
    spread = sum((one.step - mean_step) ** 2 for one in readings)
    if not spread:
        return 0.0
    return 1000 * sum((one.step - mean_step) * (one.memory_mb - mean_memory) for one in readings) / spread


def told(readings: Sequence[Reading]) -> str:
    """Say the worst figures in words."""
    settled = _settled(readings)
    if len(settled) < 4:
        return ""
    quarter = max(2, len(settled) // 4)
    first, last = (_rate(part) for part in (settled[:quarter], settled[-quarter:]))
    return (
        f"{memory_slope(settled):+.2f} MB in 1,000 steps, {max(one.memory_mb for one in settled):.0f} MB at most; "
        f"{first:.1f} steps/s at first, {last:.1f} at the end"
    )


def _settled(readings: Sequence[Reading]) -> Sequence[Reading]:
    last = readings[-1].step if readings else 0
    return [one for one in readings if one.step >= _WARM_UP * last]


def _rate(readings: Sequence[Reading]) -> float:
    return (readings[-1].step - readings[0].step) / max(1e-9, readings[-1].seconds - readings[0].seconds)


def _watch(lab: Laboratory, trial: Trial, child: Child) -> list[Reading]:
    readings: list[Reading] = []
    metrics = lab.folder(trial) / METRICS
    while child.wait(_SAMPLE_SECONDS) is None:
        step = _last_step(metrics)
        is_new = bool(step) and (not readings or step > readings[-1].step)
        if is_new and (reading := _read(child.pid, step, time.monotonic() - child.started)):
            readings.append(reading)
            lab.progress.advance(_TASK, step, {})
    return readings


def _last_step(metrics: Path) -> int:
    """Return the step of the last whole line; 0: there is none yet."""
    if not metrics.exists():
        return 0
    with metrics.open("rb") as file:
        file.seek(max(0, metrics.stat().st_size - _TAIL_BYTES))
        *lines, _cut = file.read().split(b"\n")
    return int(json.loads(lines[-1])["step"]) if lines else 0


def _read(pid: int, step: int, seconds: float) -> Reading | None:
    """Read a process's figures; None: it has just ended."""
    process = Path("/proc", str(pid))
    try:
        return Reading(
            step=step,
            seconds=seconds,
            memory_mb=int((process / "statm").read_text().split()[1]) * _PAGE_MB,
            descriptors=len(list((process / "fd").iterdir())),
            threads=len(list((process / "task").iterdir())),
            shared=(process / "maps").read_text().count("/dev/shm/"),
            zombies=_num_zombies(process),
        )
    except (OSError, IndexError):
        return None


def _num_zombies(process: Path) -> int:
    children = (process / "task" / process.name / "children").read_text().split()
    states = (Path("/proc", child, "stat").read_text().rpartition(")")[2].split()[0] for child in children)
    return sum(state == "Z" for state in states)
