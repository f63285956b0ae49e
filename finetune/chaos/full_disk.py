"""Disks that fill up, limits on files, and folders that cannot be written.

Each ends the run with exit code 4 and a message that names the folder, leaves every published checkpoint whole, and,
once there is room again, the same command continues to the same numbers.
"""

import json
import resource
import sys
from collections.abc import Callable
from functools import partial

from finetune.chaos.choices import Fault
from finetune.chaos.evidence import published, torn, unpublished
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.moments import before_call, in_save
from finetune.chaos.processes import Child
from finetune.chaos.promise import Promise
from finetune.chaos.small_disk import fill, make_read_only, make_room, mount_small_disk
from finetune.engine import loop

_TASK = "full disks"
_MISTAKE, _DISK = 2, 4
# What a save wants free besides its tensors, and room for some checkpoints of a tiny model.
_DISK_BYTES = 48 << 20
_Arm = Callable[[Callable[[], None]], None]

# When the disk fills, and how many checkpoints are published by then.
_FILLED: dict[str, tuple[_Arm, int]] = {
    "between two saves": (partial(before_call, loop, "train_step", 4), 1),
    "in the weights of the first save": (partial(in_save, "trained.begun", 1), 0),
    "in the weights of a later save": (partial(in_save, "trained.begun", 2), 1),
    "in the optimizer": (partial(in_save, "optimizer.begun", 3), 2),
    "before the state": (partial(in_save, "state.before", 2), 1),
    "before the manifest": (partial(in_save, "manifest.before", 2), 1),
}


def fill_disks(lab: Laboratory, method: str) -> Promise:
    """Try each way in which a disk refuses."""
    promise = Promise(
        fault=Fault.disk.name,
        text=f"disk full or closed, {method}: exit code 4, checkpoints stay whole, nothing differs once there is room",
    )
    trial = Trial(name=f"disk-{method}", method=method)
    lab.reference(trial)
    cases: dict[str, Callable[[Trial], list[str]]] = {"a limit on the size of files": partial(_limit, lab)}
    why_not = _why_no_small_disk(lab)
    if why_not:
        promise.not_tried = f"filling a disk: this user may mount none ({why_not})"
    else:
        cases |= {name: partial(_on_small_disk, lab, partial(_fill_at, *given)) for name, given in _FILLED.items()}
        cases["a disk that cannot be written"] = partial(_on_small_disk, lab, _closed)
    lab.progress.begin(_TASK, len(cases))
    for number, (name, case) in enumerate(cases.items(), start=1):
        trial = Trial(name=f"disk-{name.replace(' ', '-')}-{method}", method=method)
        if promise.note(case(trial), name):
            lab.forget(trial)
        lab.progress.advance(_TASK, number, {})
    lab.progress.end(_TASK)
    promise.worst = f"{promise.tried - promise.held} of {promise.tried} refusals did not hold"
    return promise


def _limit(lab: Laboratory, trial: Trial) -> list[str]:
    """Let no file grow beyond half of the weights, as a quota would, from the second save on."""
    newest = published(lab.reference_folder(trial))[-1]
    largest = max(path.stat().st_size for path in newest.iterdir())

    def set_limit() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, hard))

    child = lab.start(trial, partial(in_save, "folder.made", 2, set_limit))
    problems = _refused(lab, child, trial, 1)
    return problems or lab.finish(trial)


def _fill_at(arm: _Arm, num_published: int, lab: Laboratory, trial: Trial) -> list[str]:
    child = lab.start(trial, lambda: arm(partial(fill, lab.root)))
    problems = _refused(lab, child, trial, num_published)
    make_room(lab.root)
    return problems or lab.finish(trial)


def _closed(lab: Laboratory, trial: Trial) -> list[str]:
    """Start on a disk that is read-only: refused at once, as a mistake, by the folder's name."""
    make_read_only(lab.root)
    child = lab.start(trial)
    problems = lab.ended(child, lab.patience(trial), code=_MISTAKE)
    return problems + ([] if str(lab.root) in child.said() else ["the folder is not named"])


def _refused(lab: Laboratory, child: Child, trial: Trial, num_published: int) -> list[str]:
    """Say what is wrong with a run that its disk has stopped."""
    folder = lab.folder(trial)
    problems = lab.ended(child, lab.patience(trial), code=_DISK) + torn(folder)
    if str(folder) not in child.last_words():
        problems.append(f"its last line does not name the folder: {child.last_words()}")
    if len(published(folder)) != num_published:
        problems.append(f"{len(published(folder))} checkpoints are there, {num_published} were saved")
    if unpublished(folder):
        problems.append(f"{unpublished(folder)[0].name} was left behind")
    return problems


def _on_small_disk(lab: Laboratory, case: Callable[[Laboratory, Trial], list[str]], trial: Trial) -> list[str]:
    """Run a case in a process that sees a small disk of its own; the log lies outside of it."""
    disk, findings = lab.root / f"{trial.name}.disk", lab.logs / f"{trial.name}.json"
    disk.mkdir()

    def work() -> None:
        mount_small_disk(disk, _DISK_BYTES)
        problems = case(lab.elsewhere(disk), trial)
        findings.write_text(json.dumps(problems), encoding="utf-8")

    child = lab.children.fork(work, lab.logs / f"{trial.name}-around.log", {})
    problems = lab.ended(child, 3 * lab.patience(trial), code=0)
    disk.rmdir()
    if problems:
        return problems
    found: list[str] = json.loads(findings.read_text(encoding="utf-8"))
    for path in (findings, child.log):
        path.unlink()
    return found


def _why_no_small_disk(lab: Laboratory) -> str:
    """Say why no small disk can be had here; "": it can."""
    if not sys.platform.startswith("linux"):
        return f"tried on Linux alone, and this is {sys.platform}"
    disk = lab.root / "probe.disk"
    disk.mkdir()
    child = lab.children.fork(partial(mount_small_disk, disk, _DISK_BYTES), lab.logs / "probe.log", {})
    code = child.wait(lab.patience(Trial(name="probe", method=lab.methods[0])))
    disk.rmdir()
    why = "" if code == 0 else child.last_words()
    child.log.unlink()
    return why
