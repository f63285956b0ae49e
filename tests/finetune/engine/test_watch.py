"""A rank that hangs is told from those that wait for it."""

import json
import threading
from collections.abc import Callable

import pytest
from torch.distributed import DistNetworkError

from finetune.engine import watch as watching
from finetune.engine.stops import PeerLostError
from finetune.engine.watch import Beat, Watch, late, naming_dead_ranks


class Store(dict[str, bytes]):
    """What torch's key-value store does."""

    def set(self, key: str, value: str) -> None:
        self[key] = value.encode()

    def check(self, keys: list[str]) -> bool:
        return all(key in self for key in keys)


def beat(count: int, doing: str, *, number: int = 0) -> Beat:
    return Beat(count=count, doing=doing, seconds=12.4, where="loader.py:88", number=number)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_PERIOD_SECONDS", 0.02)
    monkeypatch.setattr(watching, "_DEAD_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(watching, "_LONGEST_SILENCE_SECONDS", 0.4)


@pytest.fixture
def lost() -> tuple[threading.Event, list[str], Callable[[str], None]]:
    happened, told = threading.Event(), []

    def lose(message: str) -> None:
        told.append(message)
        happened.set()

    return happened, told, lose


def test_the_rank_with_the_fewest_marks_is_late() -> None:
    beats = {0: beat(7, "backward pass of step 3"), 1: beat(6, "forward pass of step 3"), 2: beat(7, "adding up")}
    told = late(beats[0], 10, beats)
    assert told == (
        "backward pass of step 3 did not end within 10 s. Late: rank 1, forward pass of step 3 for 12 s "
        "(at loader.py:88). The others: rank 0, backward pass of step 3 for 12 s (at loader.py:88); "
        "rank 2, adding up for 12 s (at loader.py:88)"
    )


def test_ranks_that_are_all_at_one_place_are_all_named() -> None:
    assert late(beat(7, "saving"), 10, {0: beat(7, "saving"), 1: beat(7, "saving")}).count("rank") == 2


@pytest.mark.usefixtures("quick")
def test_a_mark_that_lasts_too_long_ends_the_process_with_the_late_rank_named(
    lost: tuple[threading.Event, list[str], Callable[[str], None]],
) -> None:
    happened, told, lose = lost
    store = Store()
    store.set("finetune/watch/1", json.dumps({"count": 1, "doing": "reading", "seconds": 9, "where": "", "number": 3}))
    watch = Watch(rank=0, world_size=2, store=store, lose=lose)
    watch.start()
    watch.mark("starting", 60)
    watch.mark("adding up", 0.1)
    assert happened.wait(5)
    assert told[0].startswith("adding up did not end within 0.1 s. Late: rank 1, reading")


@pytest.mark.usefixtures("quick")
def test_a_neighbour_that_falls_silent_is_dead_or_stopped_unless_it_said_goodbye(
    lost: tuple[threading.Event, list[str], Callable[[str], None]],
) -> None:
    happened, told, lose = lost
    store = Store()
    store.set("finetune/watch/1", "")
    watch = Watch(rank=0, world_size=2, store=store, lose=lose)
    watch.start()
    assert not happened.wait(0.8)
    store.set("finetune/watch/1", json.dumps({"count": 1, "doing": "saving", "seconds": 0, "where": "", "number": 3}))
    assert happened.wait(5)
    assert "rank 1 is dead or stopped" in told[0]
    assert "saving" in told[0]


@pytest.mark.usefixtures("quick")
def test_a_broken_connection_is_told_with_the_name_of_the_rank_that_is_gone() -> None:
    store = Store()
    store.set("finetune/watch/1", json.dumps({"count": 1, "doing": "saving", "seconds": 0, "where": "", "number": 3}))
    watch = Watch(rank=0, world_size=2, store=store, lose=print)
    with (
        pytest.raises(PeerLostError, match="adding up: lost rank 1, saving") as caught,
        naming_dead_ranks(watch, "adding up"),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
    assert caught.value.exit_code == 5
    with pytest.raises(RuntimeError, match="our own mistake"), naming_dead_ranks(watch, "adding up"):
        raise RuntimeError("our own mistake")


class GoneStore(Store):
    """One whose host was killed."""

    def check(self, keys: list[str]) -> bool:
        raise DistNetworkError("failed to recv, got 0 bytes. Connection was likely closed.\nException raised from ...")


@pytest.mark.usefixtures("quick")
def test_a_rank_that_takes_the_store_along_is_named_by_those_that_cannot_ask_it_any_more() -> None:
    watch = Watch(rank=1, world_size=2, store=GoneStore(), lose=print)
    with (
        pytest.raises(
            PeerLostError, match=r"adding up: lost rank 0 or the launcher, .*failed to recv, .*closed\.\. \["
        ),
        naming_dead_ranks(watch, "adding up"),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")
