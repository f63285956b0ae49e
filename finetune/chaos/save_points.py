"""kill -9 at every named moment of a save, of the first one and of one that removes an older checkpoint."""

from functools import partial

from finetune.chaos.choices import Fault
from finetune.chaos.evidence import published, torn
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.moments import at_reach, in_save, kill_self
from finetune.chaos.promise import Promise
from finetune.engine.faults import RESTATE_POINTS, RETENTION_POINTS, SAVE_POINTS

_TASK = "moments of a save"
_KILLED = -9
# With two checkpoints kept, the third save is the first to remove one.
_RETAINING_SAVE = 3


def kill_in_saves(lab: Laboratory, method: str, *, is_brief: bool) -> Promise:
    """Kill a training at each moment, look at what lies there, and continue it to the end.

    Args:
        is_brief: Whether to kill in one save of each kind and not in two.
    """
    text = f"kill -9 at each moment of a save, {method}: a whole checkpoint is always there, and nothing differs"
    promise = Promise(fault=Fault.save_points.name, text=text)
    cases = _cases(method, is_brief=is_brief)
    lab.progress.begin(_TASK, len(cases))
    for number, (trial, point, save) in enumerate(cases, start=1):
        if promise.note(_kill_at(lab, trial, point, save), f"{point}, save {save}"):
            lab.forget(trial)
        lab.progress.advance(_TASK, number, {})
    lab.progress.end(_TASK)
    promise.worst = f"{promise.tried - promise.held} of {promise.tried} kills did not hold"
    return promise


def _cases(method: str, *, is_brief: bool) -> list[tuple[Trial, str, int]]:
    saves = [(point, save) for save in (1, _RETAINING_SAVE) for point in SAVE_POINTS]
    retentions = [(point, _RETAINING_SAVE) for point in RETENTION_POINTS]
    restates = [(point, number) for number in (1, 2) for point in RESTATE_POINTS]
    cases = [*saves, *retentions, *restates]
    if is_brief:
        # The later of two: there, older checkpoints are removed.
        cases = list(dict(cases).items())
    return [(Trial(name=f"at-{point}-{save}-{method}", method=method), point, save) for point, save in cases]


def _kill_at(lab: Laboratory, trial: Trial, point: str, save: int) -> list[str]:
    lab.reference(trial)
    arm = at_reach if point in RESTATE_POINTS else in_save
    child = lab.start(trial, partial(arm, point, save, kill_self))
    problems = lab.ended(child, lab.patience(trial), code=_KILLED)
    folder = lab.folder(trial)
    problems += torn(folder)
    # Before the first checkpoint has its name, there is none to lose.
    if not published(folder) and not _is_before_first(point, save):
        problems.append("no checkpoint is left")
    return problems or lab.finish(trial)


def _is_before_first(point: str, save: int) -> bool:
    return save == 1 and point in SAVE_POINTS and SAVE_POINTS.index(point) < SAVE_POINTS.index("folder.renamed")
