"""Trainings in processes forked from this one, which has imported torch and has a single thread.

A fork costs a hundredth of a second where a new Python needs ten seconds for its imports, so hundreds of processes can
be killed. It is only sound while this process has no other thread: a lock that one held would stay held in the child.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_INTERRUPTED, _MISTAKE, _BUG = 130, 2, 1
_POLL_SECONDS = 0.005
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


def prepare_environment() -> None:
    """Keep torch, the tokenizer and the BLAS library from starting threads. Call it before any of them is imported.

    What is tested runs on the CPU: a process that has touched a GPU cannot be forked.
    """
    os.environ.update(
        OMP_NUM_THREADS="1",
        MKL_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
        TOKENIZERS_PARALLELISM="false",
        CUDA_VISIBLE_DEVICES="",
        ACCELERATE_USE_CPU="true",
    )


@dataclass(slots=True, kw_only=True)
class Child:
    """A forked process.

    Args:
        log: What it prints goes there, after what was there before.
        started: When it was forked, by `time.monotonic`.
        code: Its exit code, negative for the signal that ended it; None: it runs, as far as is known.
    """

    pid: int
    log: Path
    started: float
    code: int | None = None

    def wait(self, seconds: float) -> int | None:
        """Wait for its end, so long at most; return its exit code, None if it goes on."""
        until = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() >= until:
                break
            else:
                time.sleep(min(_POLL_SECONDS, max(0.0, until - time.monotonic())))
        return self.code

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it has not ended."""
        if self.code is None:
            os.kill(self.pid, number)

    def kill(self) -> int:
        """kill -9, and wait for the end."""
        self.send(signal.SIGKILL)
        if self.code is None:
            _, status = os.waitpid(self.pid, 0)
            self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def said(self) -> str:
        """Return all that was printed to its log."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def last_words(self) -> str:
        """Return the last line of its log."""
        lines = [line for line in self.said().splitlines() if line.strip()]
        return lines[-1].strip() if lines else "nothing"


@dataclass(slots=True)
class Children:
    """All processes that were forked, so that none outlives the command."""

    running: list[Child] = field(default_factory=list)

    def fork(self, work: Callable[[], None], log: Path, environment: Mapping[str, str]) -> Child:
        """Do `work` in a process of its own; its exit code is what the command line's would be."""
        # Those of the BLAS library, which numpy started long before this, end and begin again around a fork.
        assert threading.active_count() == 1, f"a process with threads must not be forked: {threading.enumerate()}"
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _run(work, log, environment)
        self.running = [child for child in self.running if child.code is None]
        self.running.append(Child(pid=pid, log=log, started=time.monotonic()))
        return self.running[-1]

    def end(self) -> None:
        """Kill what still runs."""
        for child in self.running:
            child.kill()


def _run(work: Callable[[], None], log: Path, environment: Mapping[str, str]) -> None:
    """Be the forked process, from its first moment to its last."""
    code = _BUG
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.default_int_handler if number is signal.SIGINT else signal.SIG_DFL)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(environment)
        work()
        code = 0
    except BaseException as error:
        code = exit_code_of(error)
        _tell(error, code)
    finally:
        # Not sys.exit: what the parent registered for its own end must not happen here.
        _flush()
        os._exit(code)


def exit_code_of(error: BaseException) -> int:
    """Return the code that the command line would exit with."""
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    return int(getattr(error, "exit_code", _MISTAKE if isinstance(error, ValueError) else _BUG))


def _tell(error: BaseException, code: int) -> None:
    if code == _BUG:
        traceback.print_exception(error)
    else:
        print(f"finetune train: {error}", file=sys.stderr)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The log lies on a disk that a test has filled.
            continue
