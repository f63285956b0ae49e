"""The learning rate's factor against the original's formula."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.engine.schedule import Constant, Cosine, Linear, Schedule


def original(decay: str, step: int, total_steps: int, warmup_steps: int, end: float = 0.0) -> float:
    """big_vision utils.py, `create_learning_rate_schedule`, with base 1; `end` for linear alone."""
    progress = (step - warmup_steps) / float(total_steps - warmup_steps)
    progress = min(1.0, max(0.0, progress))
    rate = {
        "linear": end + (1.0 - end) * (1.0 - progress),
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
        "constant": 1.0,
    }[decay]
    return rate * min(1.0, step / warmup_steps) if warmup_steps else rate


@given(total_steps=st.integers(2, 500), data=st.data())
def test_every_factor_is_the_originals(total_steps: int, data: st.DataObject) -> None:
    warmup_steps = data.draw(st.integers(0, total_steps - 1))
    step = data.draw(st.integers(0, total_steps - 1))
    schedules: dict[str, Schedule] = {
        "cosine": Cosine(warmup_steps=warmup_steps, warmup_ratio=None),
        "linear": Linear(warmup_steps=warmup_steps, warmup_ratio=None),
        "constant": Constant(warmup_steps=warmup_steps, warmup_ratio=None),
    }
    for decay, schedule in schedules.items():
        schedule.check(total_steps)
        assert schedule.factor(step, total_steps) == pytest.approx(original(decay, step, total_steps, warmup_steps))


@given(step=st.integers(0, 99), end=st.floats(0, 1))
def test_a_linear_end_is_the_originals(step: int, end: float) -> None:
    schedule = Linear(warmup_ratio=0.1, final_fraction=end)
    assert schedule.factor(step, 100) == pytest.approx(original("linear", step, 100, 10, end))


@pytest.mark.parametrize("schedule", [Cosine(), Linear(), Constant()])
def test_the_first_update_of_a_warm_up_is_exactly_zero_and_the_peak_exactly_one(schedule: Schedule) -> None:
    assert schedule.factor(0, 100) == 0.0
    assert schedule.factor(5, 100) == 1.0


@pytest.mark.parametrize("schedule", [Cosine(final_fraction=0.25), Linear(final_fraction=0.25)])
def test_the_decay_ends_at_the_final_fraction(schedule: Schedule) -> None:
    assert schedule.factor(100, 100) == pytest.approx(0.25)
    assert schedule.factor(99, 100) > 0.25


@pytest.mark.parametrize(
    ("ratio", "total_steps", "warmup_steps"), [(0.05, 100, 5), (0.05, 3, 1), (0.0, 100, 0), (0.05, 70, 4)]
)
def test_a_ratio_is_rounded_to_at_least_one_step_unless_it_is_zero(
    ratio: float, total_steps: int, warmup_steps: int
) -> None:
    by_ratio = Linear(warmup_ratio=ratio)
    by_steps = Linear(warmup_steps=warmup_steps, warmup_ratio=None)
    assert [by_ratio.factor(step, total_steps) for step in range(total_steps)] == [
        by_steps.factor(step, total_steps) for step in range(total_steps)
    ]


def test_a_warm_up_that_fills_the_run_is_refused_except_in_a_run_of_one_step() -> None:
    with pytest.raises(ValueError, match="takes 10 of 10 steps and leaves none"):
        Cosine(warmup_steps=10, warmup_ratio=None).check(10)
    Cosine().check(1)
    assert Cosine().factor(0, 1) == 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"warmup_steps": 5}, "exactly one of warmup_steps and warmup_ratio"),
        ({"warmup_ratio": None}, "exactly one of warmup_steps and warmup_ratio"),
        ({"warmup_ratio": 1.5}, "warmup_ratio must be between 0 and 1"),
        ({"warmup_ratio": None, "warmup_steps": -1}, "warmup_steps must be at least 0"),
    ],
)
@pytest.mark.parametrize("kind", [Cosine, Linear, Constant])
def test_settings_out_of_range_are_refused(kind: type[Cosine], settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@pytest.mark.parametrize(
    "schedule",
    [Cosine(), Linear(), Constant(), Constant(warmup_ratio=0.0), Constant(warmup_steps=5, warmup_ratio=None)],
    ids=repr,
)
def test_only_a_schedule_that_knows_no_end_is_the_same_for_a_longer_run(schedule: Schedule) -> None:
    is_same = all(schedule.factor(step, 100) == schedule.factor(step, 400) for step in range(100))
    assert is_same == (not schedule.depends_on_total_steps)
