"""One of two ranks dies, fails, leaves without a word, hangs or is stopped: the other ends by itself, and says who.

Both ranks are processes of this machine, connected as a launcher would connect them, and no launcher cleans up after
them: what is measured is the run's own doing.
"""

import os
import time
from collections.abc import Callable, Iterator
from functools import partial

from finetune.chaos.choices import Fault
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.moments import before_call, kill_self, stop_self
from finetune.chaos.promise import Promise
from finetune.engine import loop

_TASK = "lost ranks"
_PEER_LOST = 5
_AT_STEP = 4
DEAD_SECONDS = 15.0
# After the timeout: what a launcher gives a stopped process before it kills it, and a margin.
HUNG_SECONDS = 40.0
_TIMEOUT_SECONDS = 8.0
_FOR_LONG_SECONDS = 600.0


def lose_ranks(lab: Laboratory, method: str) -> Iterator[Promise]:
    """Lose a rank in each way; start both again each time, and compare with two that nothing disturbed.

    Yields:
        What became of a rank's death, and of a rank that hangs.
    """
    dead = Promise(
        fault=Fault.ranks.name,
        text=f"one of two ranks dies, {method}: the other ends within {DEAD_SECONDS:.0f} s with code {_PEER_LOST}, "
        "names it, and both continue exactly",
    )
    _lose(lab, method, dead, _DEATHS, DEAD_SECONDS, None)
    yield dead
    hung = Promise(
        fault=Fault.ranks.name,
        text=f"one of two ranks hangs, {method}: the other ends within the timeout + {HUNG_SECONDS:.0f} s with code "
        f"{_PEER_LOST}, names it, and both continue exactly",
    )
    _lose(lab, method, hung, _HANGS, _TIMEOUT_SECONDS + HUNG_SECONDS, _TIMEOUT_SECONDS)
    hung.worst += f" with a timeout of {_TIMEOUT_SECONDS:.0f} s"
    yield hung


def _fail() -> None:
    raise RuntimeError("a failure that finetune chaos has made")


# By name: which rank is lost, and what it does. Rank 0 is special: the others meet at its address.
_DEATHS: dict[str, tuple[int, Callable[[], None]]] = {
    "kill -9 of rank 1": (1, kill_self),
    "kill -9 of rank 0": (0, kill_self),
    "an exception on rank 1": (1, _fail),
    "rank 1 leaves without a word": (1, partial(os._exit, 0)),
}
_HANGS: dict[str, tuple[int, Callable[[], None]]] = {
    "rank 1 hangs": (1, partial(time.sleep, _FOR_LONG_SECONDS)),
    "rank 0 hangs": (0, partial(time.sleep, _FOR_LONG_SECONDS)),
    "rank 1 is stopped": (1, stop_self),
}


def _lose(
    lab: Laboratory,
    method: str,
    promise: Promise,
    ways: dict[str, tuple[int, Callable[[], None]]],
    limit: float,
    timeout: float | None,
) -> None:
    slowest = 0.0
    lab.progress.begin(_TASK, len(ways))
    for number, (name, (rank, action)) in enumerate(ways.items(), start=1):
        trial = Trial(name=f"{name.replace(' ', '-')}-{method}", method=method, world_size=2, rank_timeout_s=timeout)
        problems, seconds = _lose_rank(lab, trial, rank, action, limit)
        slowest = max(slowest, seconds)
        if promise.note(problems, name):
            lab.forget(trial)
        lab.progress.advance(_TASK, number, {})
    lab.progress.end(_TASK)
    promise.worst = f"down after {slowest:.1f} s"


def _lose_rank(
    lab: Laboratory, trial: Trial, lost: int, action: Callable[[], None], limit: float
) -> tuple[list[str], float]:
    """Return what went wrong, and the seconds from the loss to the end of the other rank."""
    lab.reference(trial)
    note = lab.logs / f"{trial.name}.lost"

    def lose() -> None:
        note.write_text(str(time.monotonic()))
        action()

    def prepare(rank: int) -> None:
        if rank == lost:
            before_call(loop, "train_step", _AT_STEP, lose)

    children = lab.start_ranks(trial, prepare)
    survivor = children[1 - lost]
    code = survivor.wait(lab.patience(trial) + limit)
    seconds = time.monotonic() - float(note.read_text()) if note.exists() else 0.0
    note.unlink(missing_ok=True)
    for child in children:
        child.kill()
    problems = []
    if code != _PEER_LOST:
        problems.append(f"the other rank ended with {code}, not {_PEER_LOST}: {survivor.last_words()}")
    if seconds > limit:
        problems.append(f"the other rank was down after {seconds:.1f} s, not {limit:.0f} s")
    if f"rank {lost}" not in survivor.said():
        problems.append(f"rank {lost} was not named")
    return problems + lab.finish(trial), seconds
