"""Steps against the clock: warmed up until they are steady, then every variant in turn, forwards and backwards.

round 0:  ours  stock  strong      a turn is a block of steps
round 1:  strong  stock  ours      so what grows slowly (heat, other jobs) weighs on all alike
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

from finetune.benchmark.choices import Effort
from finetune.benchmark.variants import Variant

_Result = TypeVar("_Result")

_STEADY = 0.03
_FEWEST_REPEATS = 5
# One forwards and one backwards.
_FEWEST_ROUNDS = 2
# What a clock's resolution can make of a very short time.
_SHORTEST = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one block of steps took, in seconds a step.

    Args:
        wall: On the clock, until the device was done.
        cpu: Of this process, over all its threads.
        host: On the clock, until the last step had been handed to the device; the same as wall where there is none.
    """

    wall: float
    cpu: float
    host: float

    def seconds(self, clock: str) -> float:
        """Return what counts: "wall" or "cpu"."""
        return self.cpu if clock == "cpu" else self.wall


def clock_of(device: torch.device) -> str:
    """Return what counts on a device: processor seconds where other jobs can take the processor away."""
    return "cpu" if device.type == "cpu" else "wall"


def take_turn(variant: Variant, num_steps: int, device: torch.device) -> Turn:
    """Time so many steps."""

    def steps() -> None:
        for _ in range(num_steps):
            variant.step()

    turn, _ = take_call(steps, device)
    return Turn(wall=turn.wall / num_steps, cpu=turn.cpu / num_steps, host=turn.host / num_steps)


def take_call(action: Callable[[], _Result], device: torch.device) -> tuple[Turn, _Result]:
    """Time one call, and return what it returns."""
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    result = action()
    host = time.perf_counter() - wall
    synchronize(device)
    return Turn(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu, host=host), result


def warm_up(variant: Variant, most_steps: int, device: torch.device) -> list[Turn]:
    """Step until two in a row take equally long within 3 %, or `most_steps` are done; two at least."""
    clock = clock_of(device)
    turns = [take_turn(variant, 1, device), take_turn(variant, 1, device)]
    while len(turns) < most_steps:
        before, last = turns[-2].seconds(clock), turns[-1].seconds(clock)
        if abs(before - last) <= _STEADY * last:
            break
        turns.append(take_turn(variant, 1, device))
    return turns


def interleave(variants: Mapping[str, Variant], effort: Effort, device: torch.device) -> dict[str, list[Turn]]:
    """Give every variant its turn in every round that there is time for; each list has one entry a round."""
    turns: dict[str, list[Turn]] = {name: [] for name in variants}
    began = time.perf_counter()
    for number in range(effort.rounds):
        has_time = effort.most_seconds is None or time.perf_counter() - began < effort.most_seconds
        if number >= _FEWEST_ROUNDS and not has_time:
            break
        order = list(variants) if number % 2 == 0 else list(variants)[::-1]
        for name in order:
            turns[name].append(take_turn(variants[name], effort.block_steps, device))
    return turns


def repeat(action: Callable[[], object], device: torch.device, *, seconds: float = 1.0) -> list[float]:
    """Time something short again and again for about so many seconds, after two times that are not counted."""
    read = time.process_time if clock_of(device) == "cpu" else time.perf_counter
    for _ in range(2):
        action()
    found: list[float] = []
    while sum(found) < seconds or len(found) < _FEWEST_REPEATS:
        synchronize(device)
        start = read()
        action()
        synchronize(device)
        found.append(max(read() - start, _SHORTEST))
    return found


def synchronize(device: torch.device) -> None:
    """Wait for what was handed to the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
