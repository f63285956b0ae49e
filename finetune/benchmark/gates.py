"""What must hold before a time may be told: the measured step computes what a plain PaliGemma computes.

A wrong mask is faster than the right one and does not crash. So our own training step, called as it is measured, is
compared with transformers' plain forward: everything scored, attention spelled out, `token_type_ids` given.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from finetune.benchmark.choices import BenchSize, Method, Workload
from finetune.benchmark.dimensions import Dimensions, dimensions_of
from finetune.benchmark.model import (
    build_model,
    our_model,
    peers_model,
    plain_modules,
    trainable_by_name,
    use_attention,
)
from finetune.benchmark.our_step import OurStep
from finetune.benchmark.samples import Window, draw_windows, our_batch, transformers_inputs
from finetune.data.packing import Batch
from finetune.settings import Precision

# What cannot be seen moves nothing; what is seen moves more than rounding.
_UNMOVED = 1e-7
_MOVED = 1e-6
# Relative, by precision: of the loss, and of the gradient as one long vector.
_EQUAL_LOSS = {Precision.fp32: 1e-5, Precision.bf16: 5e-3}
_EQUAL_GRADIENT = {Precision.fp32: 1e-5}
_SMALLEST_COSINE = 0.98
_GATE_BATCH = 3


class GateError(RuntimeError):
    """The measured step does not compute what it should: its speed would mean nothing."""

    # A finding, said by name: where our code found it is no help.
    exit_code = 1

    def __init__(self, gate: "Gate") -> None:
        super().__init__(
            f"no time is told: {gate.name}: measured {gate.measured:.3g}, must be {gate.rule}; the step does not "
            "compute what a plain PaliGemma computes"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One comparison: what was measured, and the rule that it must meet."""

    name: str
    measured: float
    rule: str
    holds: bool


@runtime_checkable
class Subject(Protocol):
    """Whose step is examined."""

    def loss(self, batch: Batch) -> float:
        """Return the loss of one step over the batch, without an update."""
        ...

    def gradients(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return the gradient of the same loss by parameter."""
        ...

    def states(self, batch: Batch) -> Float[Tensor, "rows tokens hidden"]:
        """Return the decoder's output at every position."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainStep:
    """What transformers' own forward says of a window: the loss, and its gradient by parameter."""

    loss: float
    gradients: Mapping[str, Tensor]


def exact_gates(workload: Workload, device: torch.device) -> list[Gate]:
    """Examine the step in fp32 on a tiny model of the same kind, with texts of different lengths.

    Raises:
        GateError: At the first gate that fails.
    """
    tiny = replace(
        workload,
        size=BenchSize["tiny"],
        image_size=28,
        # Four-bit weights are another function; what is to be proved lies around them.
        method=Method.lora if workload.method is Method.qlora else workload.method,
        precision=Precision.fp32,
        trained_in=Precision.fp32,
        batch=_GATE_BATCH,
        prefix_tokens=8,
        suffix_tokens=10,
        length_spread=0.5,
        row_tokens=None if workload.row_tokens is None else 64,
        rank=min(workload.rank, 4),
    )
    dimensions = dimensions_of(tiny.size, tiny.generation)
    with _exact_products():
        base = build_model(tiny, dimensions, device)
        window = draw_windows(tiny, dimensions)[0]
        subject = OurStep(our_model(base, tiny), tiny, dimensions)
        batch = our_batch(window, dimensions, tiny.row_tokens)
        return [
            *mask_gates(subject, batch, dimensions),
            *equality_gates(subject, batch, plain_step(base, tiny, window), tiny),
        ]


def mask_gates(subject: Subject, batch: Batch, dimensions: Dimensions) -> Iterator[Gate]:
    """Change what must not matter, and what must.

    Raises:
        GateError: At the first gate that fails.
    """
    before = subject.loss(batch)
    # The targets stay: only what the last suffix token says to the others changes.
    leak = abs(subject.loss(_changed(batch, _last_suffix_token(batch), dimensions)) - before) / before
    yield require(_at_most("leak: the last suffix token changes no loss before it", leak, _UNMOVED))
    states, moved = subject.states(batch), subject.states(_changed(batch, _last_prefix_token(batch), dimensions))
    firsts = _first_token(batch).to(states.device)
    reach = float((states[firsts] - moved[firsts]).float().abs().amax(dim=-1).min())
    yield require(_above("prefix: the last prefix token changes the first image position", reach, _MOVED))


def equality_gates(subject: Subject, batch: Batch, plain: PlainStep, workload: Workload) -> Iterator[Gate]:
    """Compare loss and gradient with transformers' plain forward on the same weights.

    Raises:
        GateError: At the first gate that fails.
    """
    ours = subject.gradients(batch)
    name = f"in {workload.precision.name}, {workload.size.name}"
    yield require(loss_gate(f"our loss is transformers' {name}", subject.loss(batch), plain.loss, workload))
    difference, cosine = _compare(ours, plain.gradients)
    if workload.precision in _EQUAL_GRADIENT:
        allowed = _EQUAL_GRADIENT[workload.precision]
        yield require(_at_most(f"our gradient is transformers' {name}, relative", difference, allowed))
    else:
        yield require(_above(f"our gradient is transformers' {name}, cosine", cosine, _SMALLEST_COSINE))


def loss_gate(name: str, found: float, expected: float, workload: Workload) -> Gate:
    """Compare two losses, relative to the expected one."""
    return _at_most(name, abs(found - expected) / abs(expected), _EQUAL_LOSS[workload.precision])


def require(gate: Gate) -> Gate:
    """Return the gate if it holds.

    Raises:
        GateError: If it does not.
    """
    if not gate.holds:
        raise GateError(gate)
    return gate


def plain_step(base: nn.Module, workload: Workload, window: Window) -> PlainStep:
    """Return loss and gradient of transformers' own forward with labels, in the workload's precision."""
    model: Any = peers_model(base, workload)
    use_attention(plain_modules(model), workload, exact=workload.size is not BenchSize["3b"])
    device = next(model.parameters()).device
    inputs = {name: tensor.to(device) for name, tensor in transformers_inputs(window).items()}
    is_mixed = workload.precision is not Precision.fp32
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_mixed):
        loss = model(**inputs, use_cache=False).loss
    torch.autograd.backward(loss)
    gradients = {name: parameter.grad for name, parameter in trainable_by_name(model).items()}
    found = {name: gradient for name, gradient in gradients.items() if gradient is not None}
    return PlainStep(loss=float(loss.detach()), gradients=found)


@contextmanager
def _exact_products() -> Iterator[None]:
    """Multiply fp32 in fp32 inside, where the card would rather round."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def _changed(batch: Batch, where: Tensor, dimensions: Dimensions) -> Batch:
    """Return the batch with another word at the given places, and the same targets."""
    return replace(
        batch, input_ids=torch.where(where, (batch.input_ids + 7) % dimensions.image_token_id, batch.input_ids)
    )


def _first_token(batch: Batch) -> Tensor:
    return (batch.position_ids == 0) & (batch.example_ids >= 0)


def _last_suffix_token(batch: Batch) -> Tensor:
    followed = pad(batch.example_ids[:, 1:] == batch.example_ids[:, :-1], (0, 1), value=False)
    return batch.is_suffix & ~followed


def _last_prefix_token(batch: Batch) -> Tensor:
    begins = pad(batch.is_suffix[:, 1:] & ~batch.is_suffix[:, :-1], (0, 1), value=False)
    return begins & ~batch.is_suffix


def _compare(ours: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> tuple[float, float]:
    """Return the difference relative to the expected norm, and the cosine, of gradients as one vector.

    Infinity and 0 where they are not of the same parameters.
    """
    if ours.keys() != expected.keys():
        return math.inf, 0.0
    sums = {"difference": 0.0, "ours": 0.0, "expected": 0.0, "product": 0.0}
    for name, theirs in expected.items():
        mine, theirs = ours[name].float(), theirs.float()
        sums["difference"] += float((mine - theirs).square().sum(dtype=torch.float64))
        sums["ours"] += float(mine.square().sum(dtype=torch.float64))
        sums["expected"] += float(theirs.square().sum(dtype=torch.float64))
        sums["product"] += float((mine * theirs).sum(dtype=torch.float64))
    cosine = sums["product"] / math.sqrt(sums["ours"] * sums["expected"] or math.inf)
    return math.sqrt(sums["difference"] / sums["expected"]), cosine


def _at_most(name: str, measured: float, largest: float) -> Gate:
    return Gate(name=name, measured=measured, rule=f"at most {largest:g}", holds=measured <= largest)


def _above(name: str, measured: float, bound: float) -> Gate:
    return Gate(name=name, measured=measured, rule=f"above {bound:g}", holds=measured > bound)
