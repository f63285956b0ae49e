from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune.benchmark.gates import Gate, GateError
from finetune.benchmark.plan import Job, run_jobs
from finetune.benchmark.record import Record, read_record


class Clock:
    """A clock that goes on by what a job says that it took."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def run(path: Path, jobs: list[tuple[str, float, Any]], budget: float | None) -> list[str]:
    clock, shown = Clock(), []

    def job(title: str, seconds: float, outcome: Any) -> Job:
        def measure() -> Mapping[str, Any]:
            clock.now += seconds
            if isinstance(outcome, Exception):
                raise outcome
            return {"kind": "loader", "title": title}

        return Job(title=title, seconds=seconds, measure=measure)

    run_jobs(
        [job(*one) for one in jobs],
        Record(path=path, command={}, made_by={}),
        budget_seconds=budget,
        say=lambda text: None,
        show=lambda section: shown.append(str(section["title"])),
        clock=clock,
    )
    return shown


def test_what_no_longer_fits_is_left_out_and_what_does_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    assert run(path, [("first", 60, None), ("long", 50, None), ("short", 30, None)], budget=100) == ["first", "short"]
    record = read_record(path)
    assert [section["took_seconds"] for section in record["sections"]] == [60, 30]
    assert record["left_out"] == [{"title": "long", "why": "40 s were left and it takes about 50"}]


def test_a_failed_gate_or_too_little_memory_ends_one_section_and_not_the_others(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    failure = GateError(Gate(name="leak", measured=0.5, rule="at most 0", holds=False))
    jobs = [("wrong", 1, failure), ("large", 1, torch.OutOfMemoryError("no")), ("right", 1, None)]
    with pytest.raises(GateError, match=r"leak: measured 0\.5, must be at most 0"):
        run(path, jobs, budget=None)
    record = read_record(path)
    assert [section["title"] for section in record["sections"]] == ["right"]
    assert [one["title"] for one in record["left_out"]] == ["wrong", "large"]


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    with pytest.raises(ValueError, match="there is no file"):
        read_record(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match="not written by this version"):
        read_record(path)
    path.write_text("no")
    with pytest.raises(ValueError, match="is no JSON file"):
        read_record(path)
