"""The section that matters most: the training step of every variant, on the same work, in turn."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from finetune.benchmark.ceiling import Ceiling
from finetune.benchmark.choices import BenchSize, Effort, Method, VariantName, Workload
from finetune.benchmark.dimensions import Dimensions, dimensions_of
from finetune.benchmark.flops import step_flops
from finetune.benchmark.gates import Gate, PlainStep, equality_gates, exact_gates, loss_gate, plain_step, require
from finetune.benchmark.model import build_model, our_model
from finetune.benchmark.our_step import OurStep
from finetune.benchmark.peak import extra_bytes, means_of
from finetune.benchmark.samples import Window, draw_windows, facts_of, our_batch
from finetune.benchmark.statistics import median, ratio_of
from finetune.benchmark.timing import Turn, clock_of, interleave, take_turn, warm_up
from finetune.benchmark.variants import Variant, make_variant
from finetune.model.compile import NotCompilableError

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all variants of a workload share.

    Args:
        base: The frozen model.
        plain: What transformers' own forward says of the first window.
        say: Tells a person what goes on.
    """

    workload: Workload
    dimensions: Dimensions
    device: torch.device
    base: nn.Module
    windows: tuple[Window, ...]
    plain: PlainStep
    say: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A variant that was measured, or why it was not.

    Args:
        first_loss: Of the first window, before any update.
        failed: Why it has no turns: it did not fit into the device's memory, or could not be compiled.
    """

    what: str
    first_loss: float = float("nan")
    warmup: tuple[Turn, ...] = ()
    turns: tuple[Turn, ...] = ()
    extra_bytes: int | None = None
    held_bytes: int = 0
    failed: str | None = None


def measure_training(
    workload: Workload,
    names: Sequence[VariantName],
    effort: Effort,
    ceiling: Ceiling,
    device: torch.device,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Pass the gates, then time the variants; return the section for the record.

    Raises:
        GateError: If a step does not compute what it should; nothing is timed then.
    """
    say(f"gates: {workload.title}")
    gates = exact_gates(workload, device)
    dimensions = dimensions_of(workload.size, workload.generation)
    windows = draw_windows(workload, dimensions)
    base = build_model(workload, dimensions, device)
    plain = plain_step(base, workload, windows[0])
    gates += _gates_at_size(workload, dimensions, base, windows[0], plain)
    bench = Bench(
        workload=workload, dimensions=dimensions, device=device, base=base, windows=windows, plain=plain, say=say
    )
    measured: dict[str, Measured] = {}
    for group in _groups(workload, names):
        found, passed = _measure_group(bench, group, effort)
        measured, gates = {**measured, **found}, [*gates, *passed]
    return _section(bench, effort, ceiling, gates, measured)


def _groups(workload: Workload, names: Sequence[VariantName]) -> list[list[VariantName]]:
    """Return what is set up at the same time: everything, unless every variant has billions of weights of its own."""
    is_large = workload.size is BenchSize["3b"] and workload.method is Method.full
    return [[name] for name in names] if is_large else [list(names)]


def _gates_at_size(
    workload: Workload,
    dimensions: Dimensions,
    base: nn.Module,
    window: Window,
    plain: PlainStep,
    *,
    compile_layers: bool = False,
) -> list[Gate]:
    subject = OurStep(our_model(base, workload), workload, dimensions, compile_layers=compile_layers)
    return list(equality_gates(subject, our_batch(window, dimensions, workload.row_tokens), plain, workload))


def _measure_group(
    bench: Bench, names: Sequence[VariantName], effort: Effort
) -> tuple[dict[str, Measured], list[Gate]]:
    """Set variants up, warm them up, time them in turn, and measure one more step's memory each."""
    variants: dict[str, Variant] = {}
    warmed: dict[str, Measured] = {}
    gates: list[Gate] = []
    for name in names:
        bench.say(f"warming up: {name.name}")
        variant = make_variant(name, bench.base, bench.workload, bench.dimensions, bench.windows)
        try:
            warmed[name.name], passed = _warmed(bench, name, variant, effort)
        except (torch.OutOfMemoryError, NotCompilableError) as failure:
            # For the others that is a finding; without our own there is nothing to compare.
            if name is VariantName.ours:
                raise
            why = "out of memory" if isinstance(failure, torch.OutOfMemoryError) else str(failure)
            warmed[name.name] = Measured(what=variant.what, failed=why)
            _free(variant)
        else:
            variants[name.name] = variant
            gates += passed
    bench.say(f"timing {', '.join(variants)}: {effort.rounds} rounds of {effort.block_steps} steps each")
    turns = interleave(variants, effort, bench.device)
    measured = {
        name: Measured(
            what=one.what,
            first_loss=one.first_loss,
            warmup=one.warmup,
            turns=tuple(turns.get(name, ())),
            extra_bytes=extra_bytes(variants[name].step, bench.device) if name in variants else None,
            held_bytes=variants[name].held_bytes() if name in variants else 0,
            failed=one.failed,
        )
        for name, one in warmed.items()
    }
    for variant in variants.values():
        _free(variant)
    return measured, gates


def _warmed(bench: Bench, name: VariantName, variant: Variant, effort: Effort) -> tuple[Measured, list[Gate]]:
    """Do the first steps; the first loss must be a plain PaliGemma's, and with compiled layers the gradient too."""
    first = take_turn(variant, 1, bench.device)
    loss = variant.loss()
    gates = [require(loss_gate(f"first loss of {name.name} is transformers'", loss, bench.plain.loss, bench.workload))]
    if name is VariantName.ours_compiled:
        gates += _gates_at_size(
            bench.workload, bench.dimensions, bench.base, bench.windows[0], bench.plain, compile_layers=True
        )
    more = warm_up(variant, effort.warmup_steps, bench.device)
    return Measured(what=variant.what, first_loss=loss, warmup=(first, *more)), gates


def _free(variant: Variant) -> None:
    variant.close()
    del variant
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _section(
    bench: Bench, effort: Effort, ceiling: Ceiling, gates: Sequence[Gate], measured: dict[str, Measured]
) -> dict[str, Any]:
    workload, clock = bench.workload, clock_of(bench.device)
    facts = facts_of(bench.windows, workload)
    flops = sum(step_flops(bench.dimensions, window.lengths, workload.method) for window in bench.windows)
    flops /= len(bench.windows)
    ours = measured.get(VariantName.ours.name)
    return {
        "kind": "training",
        "title": workload.title,
        "workload": {**asdict(workload), "dimensions": asdict(bench.dimensions)},
        "samples": facts,
        "effort": asdict(effort),
        "gates": [asdict(gate) for gate in gates],
        "clock": clock,
        "peak_memory_by": means_of(bench.device),
        "useful_flops_per_step": flops,
        "ceiling": asdict(ceiling),
        "variants": {
            name: _row(one, clock, workload.batch, facts["targets_per_step"], flops / ceiling.flops)
            for name, one in measured.items()
        },
        "ratios": {
            name: _ratios(one, ours, clock)
            for name, one in measured.items()
            if ours is not None and one is not ours and one.turns
        },
    }


def _row(one: Measured, clock: str, num_images: int, num_targets: float, floor_seconds: float) -> dict[str, Any]:
    """Return a variant's numbers; those of time are per step."""
    if one.failed is not None:
        return {"what": one.what, "failed": one.failed}
    seconds = median([turn.seconds(clock) for turn in one.turns])
    return {
        "what": one.what,
        "first_loss": one.first_loss,
        "milliseconds": 1e3 * seconds,
        "wall_milliseconds": 1e3 * median([turn.wall for turn in one.turns]),
        "cpu_milliseconds": 1e3 * median([turn.cpu for turn in one.turns]),
        "host_milliseconds": 1e3 * median([turn.host for turn in one.turns]),
        "images_per_second": num_images / seconds,
        "label_tokens_per_second": num_targets / seconds,
        "useful_utilisation": floor_seconds / seconds,
        "extra_mib": None if one.extra_bytes is None else one.extra_bytes / _MIB,
        "held_mib": one.held_bytes / _MIB,
        "first_step_seconds": one.warmup[0].wall,
        "warmup_steps": len(one.warmup),
        "turns": [asdict(turn) for turn in one.turns],
    }


def _ratios(one: Measured, ours: Measured, clock: str) -> dict[str, Any]:
    times = ([turn.seconds(clock) for turn in who.turns] for who in (one, ours))
    has_memory = one.extra_bytes is not None and ours.extra_bytes
    memory = one.extra_bytes / ours.extra_bytes if has_memory else None  # type: ignore[operator]
    return {"time": asdict(ratio_of(*times)), "extra_memory": memory}
