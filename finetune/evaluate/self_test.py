"""Proof, before the first step, that this model computes on these examples what PaliGemma computes.

Wrong attention does not crash. A suffix that sees itself only gives a loss that is too good, a prefix that is read
causally only a model that is a little worse. So the run's own forward is put to the test, in about a second.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from finetune.evaluate.probes import (
    Forward,
    Probe,
    Shown,
    generation_difference,
    layout_difference,
    neighbour_leak,
    padding_leak,
    prefix_reach,
    suffix_leak,
)
from finetune.model.decoding import evaluating
from finetune.model.forward import all_states
from finetune.model.in_force import computing_format, describe
from finetune.types import TokenizedExample

# Where only what must be invisible changes, anything but zero is wrong, in every format.
_UNMOVED = 1e-4
# What cannot be reached does not move at all; what is reached moves by far more than this.
_MOVED = 1e-6
# The same numbers from rows of other shapes: kernels add them up in another order. Relative to the largest.
_EQUAL = {"fp32": 1e-4, "tf32": 2e-2, "fp16": 2e-2, "bf16": 5e-2}

_MASK = "The attention mask is wrong; do not train with it"
_PACKING = "Packing or positions are wrong; do not train with them"
_CACHE = "Generated text, and every score, would not be that of the trained model"
_EOS = (
    "The model would never learn to stop. If every example is cut (data.on_overlong=truncate), "
    "raise data.max_text_tokens"
)


class SelfTestError(RuntimeError):
    """The model does not compute what it should; training it would be silently wrong.

    Args:
        check: Name of the failed check.
        measured: The number that broke the rule.
    """

    # A finding about model and machine, said by name: where our code found it is no help.
    exit_code = 1

    def __init__(self, *, check: str, measured: float, rule: str, advice: str) -> None:
        super().__init__(f"self-test failed: {check}: measured {measured:.3g}, must be {rule}. {advice}.")
        self.check = check
        self.measured = measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A passed check: the worst number over all examples, and the rule that it meets."""

    name: str
    measured: float
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestReport:
    """What was proved, and what is in force: soft-caps, windows, formats."""

    checks: tuple[Check, ...]
    facts: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the report for people, one line each."""
        return [*(f"{check.name}: {check.measured:.3g} ({check.rule})" for check in self.checks), *self.facts]


def run_self_test(
    model: nn.Module,
    examples: Sequence[TokenizedExample],
    pixels: Sequence[UInt8[Tensor, "_ 3 height width"]],
    *,
    image_token_id: int,
    eos_id: int,
    vocabulary_size: int,
    forward: Forward = all_states,
) -> SelfTestReport:
    """Run every check on every example, in the caller's autocast; gradients, dropout and random states stay untouched.

    Args:
        examples: At least one, as training will see them; those that were cut before their suffix are left out.
        pixels: The resized images of each example.
        forward: Replaced by tests alone, to show that a broken one is found.

    Raises:
        SelfTestError: At the first check that fails, by name.
    """
    ends = [bool(example.is_suffix[-1]) and int(example.input_ids[-1]) == eos_id for example in examples]
    eos = _above("EOS is supervised", [sum(ends) / len(ends)], 0, _EOS)
    shown = [
        Shown(example=example, pixels=images)
        for example, images in zip(examples, pixels, strict=True)
        if example.num_targets
    ]
    tested = [
        Probe(
            model=model,
            forward=forward,
            image_token_id=image_token_id,
            vocabulary_size=vocabulary_size,
            example=one,
            neighbour=next_one,
        )
        for one, next_one in zip(shown, shown[1:] + shown[:1], strict=True)
    ]
    with evaluating(model), torch.no_grad():
        checks = (eos, *_checks(tested, _EQUAL[computing_format(model)]))
    return SelfTestReport(checks=checks, facts=describe(model))


def _checks(tested: Sequence[Probe], equal: float) -> Iterator[Check]:
    """Measure and judge, check by check."""

    def each(measure: Callable[[Probe], float]) -> list[float]:
        return [measure(probe) for probe in tested]

    yield _at_most("changing the last suffix token moves no earlier logit", each(suffix_leak), _UNMOVED, _MASK)
    yield _above("changing the last prefix token moves the first image position", each(prefix_reach), _MOVED, _MASK)
    yield _at_most("padding moves nothing", each(padding_leak), _UNMOVED, _MASK)
    yield _at_most("packing neighbours move nothing", each(neighbour_leak), _UNMOVED, _MASK)
    yield _at_most("packed and padded equals alone", each(layout_difference), equal, _PACKING)
    yield _at_most("teacher-forced logits equal generation's", each(generation_difference), equal, _CACHE)


def _at_most(name: str, measured: Sequence[float], largest: float, advice: str) -> Check:
    return _judge(name, measured, max, lambda value: value <= largest, f"at most {largest:g}", advice)


def _above(name: str, measured: Sequence[float], bound: float, advice: str) -> Check:
    return _judge(name, measured, min, lambda value: value > bound, f"above {bound:g}", advice)


def _judge(
    name: str,
    measured: Sequence[float],
    worst: Callable[[Sequence[float]], float],
    holds: Callable[[float], bool],
    rule: str,
    advice: str,
) -> Check:
    """Pass a check or raise. Numbers are judged one by one: no comparison with NaN holds, and no maximum finds one."""
    broken = [value for value in measured if not holds(value)]
    if broken:
        raise SelfTestError(check=name, measured=broken[0], rule=rule, advice=advice)
    return Check(name=name, measured=worst(measured), rule=rule)
