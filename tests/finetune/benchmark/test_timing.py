import torch

from finetune.benchmark.choices import Effort
from finetune.benchmark.timing import interleave, repeat, take_call, warm_up

CPU = torch.device("cpu")


class Counting:
    """A variant that writes its name down at every step."""

    what = "counting"

    def __init__(self, name: str, steps: list[str]) -> None:
        self._name, self._steps = name, steps

    def step(self) -> None:
        self._steps.append(self._name)

    def loss(self) -> float:
        return 0.0

    def held_bytes(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing to close."""


def test_turns_go_forwards_and_backwards() -> None:
    steps: list[str] = []
    variants = {name: Counting(name, steps) for name in "abc"}
    turns = interleave(variants, Effort(rounds=2, block_steps=2, warmup_steps=2), CPU)
    assert "".join(steps) == "aabbccccbbaa"
    assert {name: len(found) for name, found in turns.items()} == {"a": 2, "b": 2, "c": 2}


def test_where_time_is_up_every_variant_still_has_two_turns() -> None:
    steps: list[str] = []
    variants = {name: Counting(name, steps) for name in "ab"}
    turns = interleave(variants, Effort(rounds=9, block_steps=1, warmup_steps=2, most_seconds=0.0), CPU)
    assert "".join(steps) == "abba"
    assert {name: len(found) for name, found in turns.items()} == {"a": 2, "b": 2}


def test_a_warm_up_has_two_steps_at_least_and_an_end() -> None:
    steps: list[str] = []
    assert 2 <= len(warm_up(Counting("a", steps), 5, CPU)) == len(steps) <= 5


def test_a_call_is_timed_and_its_result_kept() -> None:
    turn, result = take_call(lambda: sum(range(1000)), CPU)
    assert result == 499500
    assert turn.wall >= turn.host > 0
    assert turn.seconds("wall") == turn.wall
    assert turn.seconds("cpu") == turn.cpu


def test_repeating_gives_a_handful_of_times() -> None:
    assert len(repeat(lambda: None, CPU, seconds=0.0)) == 5
