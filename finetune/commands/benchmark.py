"""`finetune bench`: measure, show, and keep what was found."""

import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from finetune.benchmark.choices import BenchPart, BenchSize
from finetune.benchmark.jobs import Measurements
from finetune.benchmark.machine import made_by
from finetune.benchmark.plan import Job, run_jobs
from finetune.benchmark.plot import sweep_svg
from finetune.benchmark.record import Record
from finetune.benchmark.table import print_section
from finetune.config.bench import BenchCommand
from finetune.reporting.progress import print_to_stderr


def bench(command: BenchCommand, path: Path) -> None:
    """Measure what the command asks for, and write it to `path`; sweeps are drawn beside it.

    Raises:
        GateError: If a step does not compute what it should.
    """
    if command.threads is not None:
        torch.set_num_threads(command.threads)
    # transformers and peft warn of names of theirs that will change; none of it concerns what is measured.
    warnings.filterwarnings("ignore", category=FutureWarning)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if command.size is BenchSize["3b"] and device.type == "cpu":
        print_to_stderr("size=3b without a GPU: this takes 20 GB or more, and minutes for each step")
    record = Record(path=path, command=asdict(command), made_by=made_by(device))
    measurements = Measurements(
        workload=command.workload(),
        variants=tuple(command.variants),
        effort=command.effort(),
        device=device,
        say=print_to_stderr,
    )
    try:
        run_jobs(
            _jobs(command, measurements),
            record,
            budget_seconds=command.budget_seconds(),
            say=print_to_stderr,
            show=print_section,
        )
    finally:
        for drawing in _draw(record):
            print(f"drawn in {drawing}")
        if record.sections or record.left_out:
            print(f"written to {path}")


def _jobs(command: BenchCommand, measurements: Measurements) -> list[Job]:
    if command.part is BenchPart.training:
        return measurements.training(command.sweep, command.points)
    parts = {
        BenchPart.loader: measurements.loader,
        BenchPart.generation: measurements.generation,
        BenchPart.questions: measurements.questions,
        BenchPart.gpu: measurements.gpu,
    }
    return parts[command.part]()


def _draw(record: Record) -> list[Path]:
    """Draw every sweep beside the JSON file."""
    drawings = []
    for section in record.content()["sections"]:
        if section["kind"] == "sweep":
            path = record.path.with_name(f"{record.path.stem}-{section['over']}.svg")
            path.write_text(sweep_svg(section), encoding="utf-8")
            drawings.append(path)
    return drawings
