"""SIGTERM and SIGUSR1, as schedulers send them: the run saves at its next step, ends with 75, and continues exactly."""

import json
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from finetune.chaos.choices import Fault
from finetune.chaos.evidence import losses, published, read_values, step_of
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.moments import before_call, in_save
from finetune.chaos.promise import Promise
from finetune.engine import loop

_TASK = "signals"
_PREEMPTED = 75
_AT_STEP = 4


def interrupt(lab: Laboratory, method: str, *, is_brief: bool) -> Promise:
    """Send each signal at each moment; where it is to be brief, each signal once, at moments that differ."""
    promise = Promise(
        fault=Fault.signals.name,
        text=f"SIGTERM or SIGUSR1, {method}: saved at the next step, code 75, nothing differs",
    )
    moments: dict[str, Callable[[Callable[[], None]], None]] = {
        "the-first-step": partial(before_call, loop, "train_step", 1),
        "a-step": partial(before_call, loop, "train_step", _AT_STEP),
        "an-evaluation": lab.before_evaluation,
        "a-save": partial(in_save, "trained.begun", 1),
        "a-later-save": partial(in_save, "folder.renamed", 3),
    }
    cases = [(sent, moment) for sent in _SENT for moment in moments]
    if is_brief:
        cases = [case for number, case in enumerate(cases) if number % (len(moments) + 1) == 0]
    lab.progress.begin(_TASK, len(cases))
    slowest = 0.0
    for number, (sent, moment) in enumerate(cases, start=1):
        trial = Trial(name=f"{sent}-in-{moment}-{method}", method=method)
        problems, seconds = _interrupt(lab, trial, _SENT[sent], moments[moment])
        slowest = max(slowest, seconds)
        if promise.note(problems, f"{sent} in {moment}"):
            lab.forget(trial)
        lab.progress.advance(_TASK, number, {})
    lab.progress.end(_TASK)
    promise.worst = f"{slowest:.2f} s from the signal to the end"
    return promise


_SENT = {
    "SIGTERM": (signal.SIGTERM,),
    "SIGUSR1": (signal.SIGUSR1,),
    "SIGTERM-twice": (signal.SIGTERM, signal.SIGTERM),
    "SIGUSR1-then-SIGTERM": (signal.SIGUSR1, signal.SIGTERM),
}


def _interrupt(
    lab: Laboratory, trial: Trial, sent: tuple[signal.Signals, ...], moment: Callable[[Callable[[], None]], None]
) -> tuple[list[str], float]:
    """Return what went wrong, and the seconds from the signal to the end."""
    lab.reference(trial)
    note = lab.logs / f"{trial.name}.sent"

    def send() -> None:
        # `at least the n-th` moments come again; one request is enough.
        if not note.exists():
            note.write_text(str(time.monotonic()))
            for number in sent:
                os.kill(os.getpid(), number)

    child = lab.start(trial, lambda: moment(send))
    problems = lab.ended(child, lab.patience(trial), code=_PREEMPTED)
    seconds = time.monotonic() - float(note.read_text()) if note.exists() else 0.0
    note.unlink(missing_ok=True)
    problems = problems or _problems_of_end(lab.folder(trial))
    return problems or lab.finish(trial), seconds


def _problems_of_end(folder: Path) -> list[str]:
    """Say what is wrong with the folder of a run that was asked to end."""
    problems = []
    status = json.loads((folder / "exit_status.json").read_text(encoding="utf-8"))
    if _PREEMPTED not in status.values():
        problems.append(f"exit_status.json says {status}")
    done = max(losses(read_values(folder)), default=0)
    saved = step_of(published(folder)[-1]) if published(folder) else 0
    if saved != done:
        problems.append(f"{done} steps were done and {saved} are saved")
    return problems
