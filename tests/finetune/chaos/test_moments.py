"""Faults happen at the call or the moment of a save that they are armed for, and at no other."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from finetune.chaos.moments import at_reach, before_call, in_save
from finetune.engine.faults import SAVE_POINTS, disarm, reach


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    disarm()


def save() -> None:
    for point in SAVE_POINTS:
        reach(point)


def test_a_function_is_watched_until_its_call_comes() -> None:
    module, happened = ModuleType("room"), []
    module.step = lambda number: happened.append(number)  # type: ignore[attr-defined]
    before_call(module, "step", 2, lambda: happened.append("fault"))
    for number in (1, 2, 3):
        module.step(number)
    assert happened == [1, "fault", 2, 3]


def test_a_function_that_is_not_there_is_an_error() -> None:
    with pytest.raises(AttributeError):
        before_call(ModuleType("room"), "step", 1, lambda: None)


@pytest.mark.parametrize("point", [SAVE_POINTS[0], "trained.begun", SAVE_POINTS[-1]])
def test_a_moment_is_that_of_the_save_that_was_asked_for(point: str) -> None:
    ended: list[int] = []
    happened: list[int] = []
    in_save(point, 2, lambda: happened.append(len(ended)))
    for number in (1, 2):
        save()
        ended.append(number)
    assert happened == [1]


def test_a_moment_of_retention_waits_for_a_save_that_removes_something() -> None:
    happened: list[str] = []
    in_save("retention.before", 1, lambda: happened.append("fault"))
    save()
    assert happened == []
    save()
    reach("retention.before")
    assert happened == ["fault"]


def test_a_moment_is_counted_where_no_save_begins() -> None:
    happened: list[str] = []
    at_reach("restate.replaced", 2, lambda: happened.append("fault"))
    for _ in range(3):
        reach("restate.replaced")
    assert happened == ["fault"]
