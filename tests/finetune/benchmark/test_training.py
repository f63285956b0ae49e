"""The section as it is recorded, and variants that do the same work."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from finetune.benchmark import training
from finetune.benchmark.ceiling import Ceiling
from finetune.benchmark.choices import USUAL_VARIANTS, Effort, Method, VariantName, Workload
from finetune.benchmark.dimensions import dimensions_of
from finetune.benchmark.gates import GateError, plain_step
from finetune.benchmark.markdown import markdown
from finetune.benchmark.model import build_model
from finetune.benchmark.samples import draw_windows
from finetune.benchmark.training import measure_training
from finetune.benchmark.variants import make_variant
from finetune.model.compile import NotCompilableError
from finetune.settings import Precision

CPU = torch.device("cpu")
EFFORT = Effort(rounds=2, block_steps=1, warmup_steps=2)
CEILING = Ceiling(precision="bf16", side=8, clock="cpu", flops=1e11)


def silence(text: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def section(workload_of: Callable[..., Workload]) -> dict[str, Any]:
    return measure_training(workload_of(), USUAL_VARIANTS, EFFORT, CEILING, CPU, silence)


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("method", [Method.lora, Method.full])
def test_every_variant_does_the_steps_of_a_plain_paligemma(
    generation: int, method: Method, workload_of: Callable[..., Workload]
) -> None:
    workload = workload_of(generation=generation, method=method, precision=Precision.fp32)
    dimensions = dimensions_of(workload.size, generation)
    windows = draw_windows(workload, dimensions)
    base = build_model(workload, dimensions, CPU)
    plain = plain_step(base, workload, windows[0])
    variants = [make_variant(name, base, workload, dimensions, windows) for name in USUAL_VARIANTS]
    for number in range(2):
        for variant in variants:
            variant.step()
        losses = [variant.loss() for variant in variants]
        assert losses == pytest.approx([plain.loss if number == 0 else losses[0]] * len(losses), rel=1e-5)
    for variant in variants:
        variant.close()


def test_the_section_holds_what_a_reader_needs(section: dict[str, Any]) -> None:
    assert section["kind"] == "training"
    assert list(section["variants"]) == [name.name for name in USUAL_VARIANTS]
    for row in section["variants"].values():
        assert row["milliseconds"] > 0
        assert row["images_per_second"] == pytest.approx(2e3 / row["milliseconds"])
        assert len(row["turns"]) == EFFORT.rounds
        assert row["held_mib"] > 0
    assert set(section["ratios"]) == {"stock", "stock_checkpointed", "strong"}
    assert all(ratio["time"]["low"] <= ratio["time"]["high"] for ratio in section["ratios"].values())
    assert all(gate["holds"] for gate in section["gates"])
    assert len(section["gates"]) == 4 + 2 + len(USUAL_VARIANTS)
    assert section["workload"]["dimensions"]["rows"] == 1024


def test_frozen_weights_lie_in_memory_once(section: dict[str, Any]) -> None:
    held = [row["held_mib"] for row in section["variants"].values()]
    assert max(held) < 1.05 * min(held)


def test_a_failed_gate_tells_no_time(monkeypatch: pytest.MonkeyPatch, workload_of: Callable[..., Workload]) -> None:
    timed: list[object] = []
    monkeypatch.setattr(training, "interleave", lambda *arguments: timed.append(arguments))
    monkeypatch.setattr(training, "plain_step", lambda *arguments: training.PlainStep(loss=1.0, gradients={}))
    with pytest.raises(GateError, match="our loss is transformers'"):
        measure_training(workload_of(), [VariantName.ours], EFFORT, CEILING, CPU, silence)
    assert timed == []


def test_a_peer_that_does_not_fit_is_said_so(
    monkeypatch: pytest.MonkeyPatch, workload_of: Callable[..., Workload], made_by: Mapping[str, Any]
) -> None:
    make = training.make_variant

    def make_or_fail(name: VariantName, *arguments: Any) -> Any:
        variant = make(name, *arguments)
        if name is VariantName.strong:
            monkeypatch.setattr(variant, "step", _out_of_memory)
        return variant

    monkeypatch.setattr(training, "make_variant", make_or_fail)
    names = [VariantName.ours, VariantName.strong]
    section = measure_training(workload_of(), names, EFFORT, CEILING, CPU, silence)
    assert section["variants"]["strong"]["failed"] == "out of memory"
    assert section["ratios"] == {}
    record = {"sections": [section], "left_out": [], "made_by": made_by}
    assert "| strong | out of memory |" in markdown(json.loads(json.dumps(record, default=lambda one: one.name)))


def test_layers_that_cannot_be_compiled_here_are_said_so(
    monkeypatch: pytest.MonkeyPatch, workload_of: Callable[..., Workload]
) -> None:
    make = training.make_variant

    def make_or_fail(name: VariantName, *arguments: Any) -> Any:
        variant = make(VariantName.ours, *arguments)
        if name is VariantName.ours_compiled:
            monkeypatch.setattr(variant, "step", _not_compilable)
        return variant

    monkeypatch.setattr(training, "make_variant", make_or_fail)
    names = [VariantName.ours, VariantName.ours_compiled]
    section = measure_training(workload_of(), names, EFFORT, CEILING, CPU, silence)
    assert section["variants"]["ours_compiled"]["failed"] == "no compiler"


def _not_compilable() -> None:
    raise NotCompilableError("no compiler")


def _out_of_memory() -> None:
    raise torch.OutOfMemoryError("too much")
