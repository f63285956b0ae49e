"""Who tells the story of a command, and that its end is told whatever ends it."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from finetune.commands.run_lock import locked
from finetune.commands.session import Session
from finetune.engine.disk import folder_errors
from finetune.engine.last_words import last_words
from finetune.evaluate.report import write_report
from finetune.reporting.exit_status import BUG, DONE, INTERRUPTED, MISTAKE, ExitStatus, write_exit_status
from finetune.reporting.main_reporter import MainReporter
from finetune.reporting.progress import progress_for
from finetune.reporting.redaction import redact_text
from finetune.reporting.reporter import Reporter, SilentReporter
from finetune.reporting.run_folder import RunFolder


def reporter_for(session: Session, folder: Path) -> Reporter:
    """Return the one that tells the story into `folder` on the main rank, and silence on the others."""
    if not session.ranks.is_main:
        return SilentReporter()
    return MainReporter(RunFolder(path=folder), session.config.tracking, progress_for(is_main=True))


@dataclass(slots=True, kw_only=True)
class Ending:
    """How a command that does not fail comes to its end, in the command's own words.

    Args:
        step: Optimizer steps done, where the command trains and has begun to.
    """

    reason: str = "finished"
    step: int | None = None

    def note_step(self, step: int) -> None:
        """Take note of how far training is."""
        self.step = step


@contextmanager
def told(session: Session, reporter: Reporter, folder: Path) -> Iterator[Ending]:
    """Say how the command ended, whatever ended it, write the folder's report and name it.

    Raises:
        DiskError: If the disk of the folder refused something that the command cannot do without.
    """
    ending = Ending()
    exit_code, reason = DONE, ""

    def speak(code: int, message: str) -> None:
        if session.ranks.is_main:
            write_exit_status(folder, ExitStatus(code=code, step=ending.step, message=redact_text(message)))

    try:
        with folder_errors(folder), last_words(speak):
            yield ending
    except BaseException as error:
        exit_code, reason = _exit_code_of(error), str(error) or type(error).__name__
        raise
    finally:
        reporter.finish(exit_code, reason or ending.reason, step=ending.step)
        if session.ranks.is_main:
            refresh_report(folder, _warn, lambda path: print(f"report: {path}", flush=True))


def refresh_report(folder: Path, warn: Callable[[str], None], say: Callable[[Path], None] = lambda path: None) -> None:
    """Write the folder's report; a disk that refuses it is no reason to end a run, or to hide why one ended."""
    try:
        say(write_report(folder))
    except OSError as error:
        warn(f"the report could not be written: {error}")


@contextmanager
def early_end_noted(folder: Path) -> Iterator[None]:
    """Leave a word in a run's folder on an end that comes before its story is told, such as a kill while a model loads.

    Nothing is written where a person made a mistake, which may be to name another run's folder, nor where another
    process trains.
    """
    try:
        yield
    except BaseException as error:
        is_main = os.environ.get("RANK", "0") == "0"
        if is_main and not isinstance(error, ValueError):
            status = ExitStatus(code=_exit_code_of(error), step=None, message=redact_text(str(error)))
            with suppress(ValueError, OSError), locked(folder):
                write_exit_status(folder, status)
        raise


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _exit_code_of(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return int(getattr(error, "exit_code", MISTAKE if isinstance(error, ValueError) else BUG))
