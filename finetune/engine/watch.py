"""What every rank is doing, told to the others, so that one that hangs or died is named and does not hold up the job.

All ranks come through the same marks in the same order: a step's passes, and whatever they do together. Every rank
counts them, and a thread of its own says its count and its mark to all others every second. If a rank stays at a mark
for too long, somebody hangs: those whose count is lowest. A rank that says nothing any more is stopped or dead.

    backward pass of training step 12 did not end within 120 s. Late: rank 1, forward pass of training step 12 for
    121 s (at attention.py:88). The others: rank 0, backward pass of training step 12 for 121 s (at graph.py:824)

Threads talk through torch's key-value store, of which each rank has a connection of its own: collectives may hang.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.engine.last_words import speak_last
from finetune.engine.stops import PeerLostError

_PERIOD_SECONDS = 1.0
# A rank that was silent for so long is stopped, or its machine is: one long call of Python's may take a few seconds.
_LONGEST_SILENCE_SECONDS = 45.0
# Where a connection broke, a rank is dead that has been silent for so long: one that is alive speaks every second.
_DEAD_AFTER_SECONDS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What one rank said last.

    Args:
        count: How many marks it has come to.
        doing: The last one, for people.
        seconds: How long ago that was.
        where: The line of Python that its main thread was at.
        number: Counts beats: one that does not change is that of a silent rank.
    """

    count: int
    doing: str
    seconds: float
    where: str
    number: int

    def __str__(self) -> str:
        return f"{self.doing} for {self.seconds:.0f} s (at {self.where})"


class Watch:
    """One rank's part of the watch.

    Args:
        store: A connection to torch's key-value store that nobody else uses.
        lose: Told why the run is over, after which the process must end; not called from the main thread.
    """

    def __init__(self, *, rank: int, world_size: int, store: Any, lose: Callable[[str], None]) -> None:
        self._rank = rank
        self._world_size = world_size
        self._store = store
        self._lose = lose
        self._count = 0
        self._mark = ("starting", time.monotonic(), 0.0)
        self._main_thread = threading.main_thread().ident
        self._beats: dict[int, tuple[Beat, float]] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch over ranks", daemon=True)

    def start(self) -> None:
        """Begin to speak and to listen."""
        self._speak(0)
        self._thread.start()

    def mark(self, doing: str, limit_seconds: float) -> None:
        """Say what this rank does from now on, and how long it may take; 0: as long as it wants."""
        self._count += 1
        self._mark = (doing, time.monotonic(), limit_seconds)

    def end(self) -> None:
        """Say goodbye: from here on, nobody expects anything of this rank."""
        self._is_over.set()
        self._thread.join()

    def lost(self) -> str:
        """Say which ranks have fallen silent, having waited long enough to know."""
        self.mark("finding out which rank is gone", 0)
        try:
            self._others()
            time.sleep(_DEAD_AFTER_SECONDS + 2 * _PERIOD_SECONDS)
            heard = self._others()
        except RuntimeError as error:  # Of the store, which a launcher keeps, and where there is none, rank 0.
            return _store_lost(error)
        dead = {rank: beat for rank, (beat, silence) in heard.items() if silence > _DEAD_AFTER_SECONDS}
        return _listed(dead) if dead else "a rank that had not spoken yet, or has ended already"

    def _run(self) -> None:
        number = 0
        try:
            while not self._is_over.wait(_PERIOD_SECONDS):
                number += 1
                own = self._speak(number)
                if problem := self._problem(own):
                    self._lose(problem)
                    return
            self._store.set(_key(self._rank), "")
        except Exception as error:  # Whatever a store that is gone raises: this thread has nobody else to tell.
            if not self._is_over.is_set():
                self._lose(f"rank {self._rank} lost {_store_lost(error)}")

    def _speak(self, number: int) -> Beat:
        doing, since, _ = self._mark
        frame = sys._current_frames().get(self._main_thread or 0)
        where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame is not None else "its end"
        own = Beat(count=self._count, doing=doing, seconds=time.monotonic() - since, where=where, number=number)
        self._store.set(_key(self._rank), json.dumps(asdict(own)))
        return own

    def _problem(self, own: Beat) -> str | None:
        limit = self._mark[2]
        if limit and own.seconds > limit:
            return late(own, limit, {self._rank: own, **{rank: beat for rank, (beat, _) in self._others().items()}})
        # One neighbour each: that all ranks listen to all others would be a lot of talk.
        neighbour = (self._rank + 1) % self._world_size
        beat, silence = self._others([neighbour]).get(neighbour, (own, 0.0))
        if silence > _LONGEST_SILENCE_SECONDS:
            return f"rank {neighbour} is dead or stopped: silent for {silence:.0f} s, its last word was: {beat}"
        return None

    def _others(self, ranks: Sequence[int] | None = None) -> dict[int, tuple[Beat, float]]:
        """Return the last beats of other ranks that have spoken and not ended, and for how long each is silent."""
        now = time.monotonic()
        heard = {}
        for rank in range(self._world_size) if ranks is None else ranks:
            if rank == self._rank or not self._store.check([_key(rank)]):
                continue
            said = self._store.get(_key(rank)).decode()
            if not said:
                continue
            beat = Beat(**json.loads(said))
            known = self._beats.get(rank)
            if known is None or known[0].number != beat.number:
                self._beats[rank] = known = (beat, now)
            heard[rank] = (beat, now - known[1])
        return heard


def late(own: Beat, limit_seconds: float, beats: dict[int, Beat]) -> str:
    """Say who is late, given what all ranks said last."""
    fewest = min(beat.count for beat in beats.values())
    slow = {rank: beat for rank, beat in beats.items() if beat.count == fewest}
    others = {rank: beat for rank, beat in beats.items() if beat.count > fewest}
    told = f"{own.doing} did not end within {limit_seconds:g} s. Late: {_listed(slow)}"
    return f"{told}. The others: {_listed(others)}" if others else told


def _listed(beats: dict[int, Beat]) -> str:
    return "; ".join(f"rank {rank}, {beat}" for rank, beat in sorted(beats.items()))


def _store_lost(error: Exception) -> str:
    return f"rank 0 or the launcher, whichever of them ranks were talking through: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _key(rank: int) -> str:
    return f"finetune/watch/{rank}"


def end_process(message: str) -> None:
    """End this process from any thread, with the exit code of a lost peer: its main thread may never come back."""
    print(f"error: {message}", file=sys.stderr, flush=True)
    speak_last(PeerLostError.exit_code, message)
    os._exit(PeerLostError.exit_code)


@contextmanager
def naming_dead_ranks(watch: Watch, doing: str) -> Iterator[None]:
    """Turn a connection that broke inside the block into an error that says which rank is gone.

    Raises:
        PeerLostError: Naming it.
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_broken_connection(error):
            raise
        raise PeerLostError(f"{doing}: lost {watch.lost()}. {_first_line(error)}") from error


def _is_broken_connection(error: RuntimeError) -> bool:
    from torch.distributed import DistError

    return isinstance(error, DistError) or any(word in str(error) for word in ("gloo", "NCCL", "Connection"))
