"""Moments of a save are reached by name, and nothing happens at one that is not armed."""

from collections.abc import Iterator

import pytest

from finetune.engine import faults


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    faults.disarm()


def test_what_is_armed_happens_each_time_that_its_moment_is_reached_until_it_is_disarmed() -> None:
    happened: list[str] = []
    faults.arm("state.written", lambda: happened.append("state"))
    faults.arm("folder.renamed", lambda: happened.append("rename"))
    for point in faults.POINTS:
        faults.reach(point)
    faults.reach("state.written")
    assert happened == ["state", "rename", "state"]
    faults.disarm()
    faults.reach("state.written")
    assert len(happened) == 3


def test_a_moment_that_does_not_exist_cannot_be_armed() -> None:
    with pytest.raises(ValueError, match=r"there is no moment LATEST of a save; there are: save\.start, "):
        faults.arm("LATEST", lambda: None)


def test_every_moment_has_a_name_of_its_own() -> None:
    assert len(set(faults.POINTS)) == len(faults.POINTS)
