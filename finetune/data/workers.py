"""Loader processes: values computed elsewhere, delivered in order.

A pool of processes rather than torch's DataLoader: errors arrive as they were raised, nothing is drawn from the random
numbers that training uses, and its processes end in order even though they do not react to signals.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

ValueT = TypeVar("ValueT")
ValueT_co = TypeVar("ValueT_co", covariant=True)

_AHEAD_PER_WORKER = 2
# What a keyboard or a job scheduler sends to every process of a run. The main process decides what becomes of it; a
# loader process that died of it would take the step in progress along.
_SIGNALS_FOR_THE_MAIN_PROCESS = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")


@runtime_checkable
class Computed(Protocol[ValueT_co]):
    """Values by number. Picklable, and a value depends on its number alone."""

    def __getitem__(self, key: int) -> ValueT_co: ...


def load_in_order(
    values: Computed[ValueT], keys: range, num_workers: int, finish: Callable[[ValueT], ValueT] | None = None
) -> Generator[ValueT, None, None]:
    """Yield values[key] for each key, in order. Closing it ends the processes.

    Args:
        num_workers: Processes that compute ahead; 0 computes each value here, when it is asked for.
        finish: What is left to do in this process, such as pinning memory: ahead as well, in a thread of its own.

    Raises:
        ChildProcessError: If a process died. What a value's computation raises comes through as it is.
    """
    if num_workers == 0:
        for key in keys:
            yield values[key] if finish is None else finish(values[key])
        return
    pool = ProcessPoolExecutor(num_workers, mp_context=_clean_context(), initializer=_begin, initargs=(values,))
    finishing = ThreadPoolExecutor(1)
    waiting: deque[Future[ValueT]] = deque()
    try:
        for key in keys:
            computed = pool.submit(_compute, key)
            waiting.append(computed if finish is None else finishing.submit(_finished, computed, finish))
            if len(waiting) > _AHEAD_PER_WORKER * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a loader process died; if memory ran out, lower data.num_workers or training.micro_batch_size"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        finishing.shutdown(cancel_futures=True)


def _finished(computed: Future[ValueT], finish: Callable[[ValueT], ValueT]) -> ValueT:
    return finish(computed.result())


def _clean_context() -> BaseContext:
    """Start processes from a clean one that has imported torch once: a fork of this one could copy a held lock."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "finetune.data.loader"])
    return context


_values: Computed[Any]


def _begin(values: Computed[Any]) -> None:
    """Set up a loader process."""
    global _values
    _values = values
    torch.set_num_threads(1)
    for name in _SIGNALS_FOR_THE_MAIN_PROCESS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_the_main_process, daemon=True).start()


def _end_with_the_main_process() -> None:
    # A main process that is killed cannot say goodbye, and a queue that nobody writes to is waited for without end.
    main_process = multiprocessing.parent_process()
    assert main_process is not None
    main_process.join()
    os._exit(1)


def _compute(key: int) -> Any:
    return _values[key]
