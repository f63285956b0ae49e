"""Compare the memory that a training step is predicted to take with what it does take, on this machine's CPU.

    python scripts/measure_memory.py              all configurations
    python scripts/measure_memory.py --only tiny  those whose name contains a word

Predicted: the highest sum of live tensors of a traced step. Measured: how far the resident size of a process that has
built the model and does two steps rises above what it was before (VmHWM, after writing 5 to /proc/self/clear_refs). A
child process measures each configuration, after a step of a small model, so that libraries are in place.
"""

import argparse
import ctypes
import gc
import json
import multiprocessing
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import nn

from finetune.benchmark.choices import BenchSize, Method, Workload
from finetune.benchmark.dimensions import dimensions_of
from finetune.benchmark.model import build_model, our_model
from finetune.benchmark.samples import draw_windows, our_batch
from finetune.data.packing import Batch
from finetune.engine.optimizer import AdamW
from finetune.engine.parameter_groups import parameter_groups
from finetune.engine.schedule import Constant
from finetune.engine.step import MicroBatchLosses, StepRules
from finetune.memory.tracing import materialize, trace_step
from finetune.model.dtype import to_torch_dtype
from finetune.settings import Checkpointing, PartMultipliers, Precision, TrainingSettings

_MIB = 2**20
_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_CHOICE = AdamW()
# Of mallopt(3).
_M_MMAP_THRESHOLD = -3


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One configuration. PaliGemma 1 or 2, 224 pixels, 257 tokens and text of 20 to each example."""

    size: str
    generation: int
    method: Method
    precision: Precision
    rung: Checkpointing
    batch: int

    def __str__(self) -> str:
        model = f"{self.size}-{self.generation}"
        return f"{model} {self.method.name} {self.precision.name} {self.rung.name} batch {self.batch}"

    def workload(self) -> Workload:
        """Return it in the benchmark's terms."""
        return Workload(
            size=BenchSize[self.size],
            generation=self.generation,
            image_size=224,
            method=self.method,
            precision=self.precision,
            trained_in=Precision.fp32,
            batch=self.batch,
            prefix_tokens=8,
            suffix_tokens=12,
            length_spread=0.0,
            row_tokens=None,
            rank=16,
            soft_cap=50.0 if self.generation == 2 else None,
        )

    def rules(self) -> StepRules:
        """Return what its step does."""
        training = TrainingSettings(precision=self.precision, gradient_checkpointing=self.rung)
        size = dimensions_of(BenchSize[self.size], self.generation).rows
        return StepRules(training=training, schedule=Constant(), total_steps=1, vocabulary_size=size, seed=0)

    def skeleton(self) -> nn.Module:
        """Return its model on the meta device, with adapters."""
        workload = self.workload()
        dimensions = dimensions_of(workload.size, self.generation)
        return our_model(build_model(workload, dimensions, torch.device("meta")), workload)

    def make_batch(self) -> Batch:
        """Return its first micro-batch."""
        workload = self.workload()
        dimensions = dimensions_of(workload.size, self.generation)
        return our_batch(draw_windows(workload, dimensions)[0], dimensions, None)


def _cases() -> list[Case]:
    lora, full, fp32, bf16 = Method.lora, Method.full, Precision.fp32, Precision.bf16
    none, half, mlp, all_ = Checkpointing.none, Checkpointing.half, Checkpointing.mlp, Checkpointing.all
    rows = [
        ("tiny", 1, lora, fp32, none, 16),
        ("tiny", 1, lora, fp32, all_, 16),
        ("tiny", 2, full, fp32, none, 8),
        ("reduced", 1, lora, fp32, none, 2),
        ("reduced", 1, lora, fp32, half, 2),
        ("reduced", 1, lora, fp32, mlp, 2),
        ("reduced", 1, lora, fp32, all_, 4),
        ("reduced", 2, lora, bf16, none, 2),
        ("reduced", 2, lora, bf16, mlp, 2),
        ("reduced", 2, full, fp32, none, 1),
        ("reduced", 1, full, bf16, all_, 1),
    ]
    return [
        Case(size=size, generation=generation, method=method, precision=precision, rung=rung, batch=batch)
        for size, generation, method, precision, rung, batch in rows
    ]


def main() -> None:
    """Print a row for each configuration, then all of them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="measure configurations whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = []
    print(f"{'':44}{'predicted':>12}{'measured':>12}{'ratio':>8}", flush=True)
    for case in _cases():
        if options.only not in str(case):
            continue
        predicted, measured = _in_child(_predict, case), _in_child(_measure, case)
        print(
            f"{case!s:44}{predicted / _MIB:8.0f} MiB{measured / _MIB:8.0f} MiB{predicted / measured:8.3f}", flush=True
        )
        report.append({"name": str(case), "predicted_bytes": predicted, "measured_bytes": measured})
    print(json.dumps(report))


def _predict(case: Case) -> int:
    return trace_step(case.skeleton(), case.make_batch(), case.rules(), _build_optimizer).peak


def _measure(case: Case) -> int:
    """Return by how many bytes this process grew, at most, while it built a model and did two steps."""
    # Else the C library keeps freed blocks of up to 32 MiB for the next ones, if they happen to fit.
    ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 64 * 1024)
    small = replace(case, size="tiny", batch=1)
    _step(small, _with_weights(small), small.make_batch())
    _settle()
    before = _read("VmRSS")
    model, batch = _with_weights(case), case.make_batch()
    _settle()
    _FORGET.write_text("5")
    _step(case, model, batch)
    return _read("VmHWM") - before


@torch.no_grad()
def _with_weights(case: Case) -> nn.Module:
    model = case.skeleton()
    materialize(model)
    for parameter in model.parameters():
        parameter.fill_(0.01)
    for buffer in model.buffers():
        buffer.zero_()
    return model


def _step(case: Case, model: nn.Module, batch: Batch) -> None:
    optimizer = _build_optimizer(model)
    is_mixed = case.precision is not Precision.fp32
    # From the second step on, what the optimizer keeps lies beside everything else.
    for _ in range(2):
        with torch.autocast("cpu", dtype=to_torch_dtype(case.precision) if is_mixed else None, enabled=is_mixed):
            share, sums = MicroBatchLosses(model, case.rules()).train()(batch, batch.example_weights)
        share.backward()
        optimizer.step()
        optimizer.zero_grad()
        del share, sums


def _build_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return _CHOICE.build(parameter_groups(model, _CHOICE, PartMultipliers()))


def _settle() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _in_child(measure: Callable[[Case], int], case: Case) -> int:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_send, args=(there, measure, case))
    child.start()
    there.close()
    measured: int = here.recv()
    child.join()
    return measured


def _send(pipe: Connection, measure: Callable[[Case], int], case: Case) -> None:
    pipe.send(measure(case))


def _read(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", _STATUS.read_text(), flags=re.MULTILINE)
    assert found is not None, f"{_STATUS} has no {name}"
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
