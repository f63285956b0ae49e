"""Time limits on what ranks do together, and the error that follows a connection that broke."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from finetune.engine.distribution import Distribution
from finetune.engine.watch import Watch, end_process, naming_dead_ranks

# torch's own time limit comes after ours, which knows more to say.
_MARGIN_SECONDS = 120.0


class Watched:
    """Marks for the watch over ranks, with the time limit that each has.

    Args:
        watch: None with one process, which waits for nobody.
    """

    def __init__(self, watch: Watch | None, distribution: Distribution) -> None:
        self._watch = watch
        self._distribution = distribution
        self._task = ""
        self._has_trained = False
        self._mark("starting")

    @contextmanager
    def within(self, task: str) -> Iterator[None]:
        """Enclose a training step."""
        self._task = task
        self._mark(f"beginning of {task}")
        try:
            yield
            self._has_trained = True
        finally:
            self._task = ""
            self._mark(f"after {task}")

    @contextmanager
    def together(self, doing: str) -> Iterator[None]:
        """Enclose what needs all ranks.

        Raises:
            PeerLostError: If one of them is gone.
        """
        if self._watch is None:
            yield
            return
        doing = f"{doing} of {self._task}" if self._task else doing
        self._mark(doing)
        with naming_dead_ranks(self._watch, doing):
            yield

    def end(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.end()

    def _mark(self, doing: str) -> None:
        if self._watch is not None:
            self._watch.mark(doing, self._limit())

    def _limit(self) -> float:
        if not self._task:
            return self._distribution.wait_timeout_seconds
        if not self._has_trained:
            return self._distribution.init_timeout_seconds
        return self._distribution.step_timeout_seconds


def watched(distribution: Distribution, rank: int, world_size: int) -> Watched:
    """Start the watch over connected ranks; over one, there is nothing to watch."""
    if world_size == 1:
        return Watched(None, distribution)
    from torch.distributed.distributed_c10d import _get_default_store

    # A connection of its own: the one that there is may be held by a collective that hangs.
    store: Any = _get_default_store()
    watch = Watch(rank=rank, world_size=world_size, store=store.clone(), lose=end_process)
    watch.start()
    return Watched(watch, distribution)


def longest_wait(distribution: Distribution) -> timedelta:
    """Return how long torch shall wait for other ranks before it gives up."""
    limits = (
        distribution.init_timeout_seconds,
        distribution.step_timeout_seconds,
        distribution.wait_timeout_seconds,
    )
    return timedelta(seconds=max(limits) + _MARGIN_SECONDS)
