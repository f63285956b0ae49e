"""What grows is found, what only moves is not."""

from dataclasses import replace

import pytest

from finetune.chaos.soak import Reading, growth, memory_slope, told

FLAT = [
    Reading(step=step, seconds=step / 50, memory_mb=500 + step % 3, descriptors=9, threads=1, shared=0, zombies=0)
    for step in range(100, 20_001, 100)
]


def test_a_flat_run_holds() -> None:
    assert growth(FLAT) == []
    assert abs(memory_slope(FLAT)) < 0.01
    assert "50.0 steps/s at first, 50.0 at the end" in told(FLAT)


def test_a_descriptor_that_is_open_now_and_then_is_no_leak() -> None:
    assert growth([replace(one, descriptors=9 + one.step % 300 // 100) for one in FLAT]) == []


def test_memory_that_grows_is_found_with_its_slope() -> None:
    grown = [replace(one, memory_mb=one.memory_mb + one.step * 1.5 / 1000) for one in FLAT]
    (problem,) = growth(grown)
    assert "1.50 MB in 1,000 steps" in problem


@pytest.mark.parametrize("name", ["descriptors", "threads", "shared", "zombies"])
def test_what_is_never_given_back_is_found(name: str) -> None:
    leaking = [replace(one, **{name: getattr(one, name) + one.step // 5000}) for one in FLAT]
    (problem,) = growth(leaking)
    assert problem.startswith(f"{name}: ")


def test_a_run_too_short_to_judge_does_not_hold() -> None:
    assert growth(FLAT[:3])
    assert growth([])
