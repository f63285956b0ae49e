"""How a run ended, for schedulers that see another process's exit code.

{"kind": "preempted", "code": 75, "step": 1200, "message": "asked to end after step 1200 of 5000; …"}

A run that goes on, and one that was killed without a word, has no such file.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from finetune.reporting.strict_json import dumps, write_file

EXIT_STATUS_FILE = "exit_status.json"
DONE, BUG, MISTAKE, NON_FINITE, DISK, PEER_LOST, PREEMPTED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 75, 130
_KINDS = {
    DONE: "done",
    BUG: "bug",
    MISTAKE: "mistake",
    NON_FINITE: "non_finite",
    DISK: "disk",
    PEER_LOST: "peer_lost",
    PREEMPTED: "preempted",
    INTERRUPTED: "interrupted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """One line on how a run ended.

    Args:
        code: The process's exit code.
        step: Optimizer steps done, saved or not; None: training had not begun.
        message: What the user was told.
    """

    code: int
    step: int | None
    message: str

    @property
    def kind(self) -> str:
        """The exit code as a word."""
        return _KINDS.get(self.code, "other")


def write_exit_status(folder: Path, status: ExitStatus) -> None:
    """Write exit_status.json in one step."""
    write_file(folder / EXIT_STATUS_FILE, dumps({"kind": status.kind, **asdict(status)}) + "\n")


def read_exit_status(folder: Path) -> ExitStatus | None:
    """Return how the run in a folder ended; None while it goes on, and where it was killed."""
    path = folder / EXIT_STATUS_FILE
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    return ExitStatus(code=content["code"], step=content["step"], message=content["message"])


def forget_exit_status(folder: Path) -> None:
    """Remove the word on an earlier end, because the run goes on."""
    (folder / EXIT_STATUS_FILE).unlink(missing_ok=True)
