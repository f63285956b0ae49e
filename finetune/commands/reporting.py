"""Who tells the story of a command, and that its end is told whatever ends it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from finetune.commands.session import Session
from finetune.evaluate.report import write_report
from finetune.reporting.main_reporter import MainReporter
from finetune.reporting.progress import progress_for
from finetune.reporting.reporter import Reporter, SilentReporter
from finetune.reporting.run_folder import RunFolder

_INTERRUPTED = 130
_MISTAKE = 2
_BUG = 1


def reporter_for(session: Session, folder: Path) -> Reporter:
    """Return the one that tells the story into `folder` on the main rank, and silence on the others."""
    if not session.ranks.is_main:
        return SilentReporter()
    return MainReporter(RunFolder(path=folder), session.config.tracking, progress_for(is_main=True))


@dataclass(slots=True, kw_only=True)
class Ending:
    """How a command that does not fail comes to its end, in the command's own words."""

    reason: str = "finished"


@contextmanager
def told(session: Session, reporter: Reporter, folder: Path) -> Iterator[Ending]:
    """Say how the command ended, whatever ended it, write the folder's report and name it."""
    ending = Ending()
    exit_code, reason = 0, ""
    try:
        yield ending
    except BaseException as error:
        exit_code, reason = _exit_code_of(error), str(error) or type(error).__name__
        raise
    finally:
        reporter.finish(exit_code, reason or ending.reason)
        if session.ranks.is_main:
            print(f"report: {write_report(folder)}", flush=True)


def _exit_code_of(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    return int(getattr(error, "exit_code", _MISTAKE if isinstance(error, ValueError) else _BUG))
