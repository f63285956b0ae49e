"""kill -9 at random moments: of starting, reading, computing, evaluating, saving and deleting."""

import random
from dataclasses import dataclass, replace

from finetune.chaos.choices import Fault
from finetune.chaos.evidence import torn, unpublished
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.promise import Promise

_TASK = "kills"


def repeat(lab: Laboratory) -> Promise:
    """Train twice undisturbed: without equal numbers there, nothing that follows would mean anything."""
    promise = Promise(fault="none", text="the same command twice computes the same numbers")
    for method in lab.methods:
        trial = _trial(method, "twice")
        promise.note(lab.finish(trial), trial.name)
        lab.forget(trial)
    return promise


def kill_at_random(lab: Laboratory, method: str, num_kills: int) -> Promise:
    """Kill trainings again and again until they are through, and compare each with the undisturbed one."""
    promise = Promise(
        fault=Fault.kills.name,
        text=f"kill -9 at a random moment, {method}: all losses, weights and optimizer bits as if not",
    )
    moments = random.Random(f"{lab.seed}-{method}")
    tally = _Tally()
    lab.reference(_trial(method, ""))
    lab.progress.begin(_TASK, num_kills)
    while tally.kills < num_kills:
        trial = _trial(method, f"killed-{tally.runs}")
        before = tally.kills
        problems = _kill_through(lab, trial, moments, tally, num_kills)
        if promise.note(problems, trial.name, tally.kills - before):
            lab.forget(trial)
        tally.runs += 1
        tally.differing += bool(problems)
    lab.progress.end(_TASK)
    promise.worst = (
        f"{tally.differing} of {tally.runs} runs differ, {tally.torn} torn checkpoints; "
        f"{tally.inside_saves} kills inside a save or a deletion"
    )
    return promise


@dataclass(slots=True)
class _Tally:
    kills: int = 0
    runs: int = 0
    differing: int = 0
    torn: int = 0
    inside_saves: int = 0


def _kill_through(lab: Laboratory, trial: Trial, moments: random.Random, tally: _Tally, num_kills: int) -> list[str]:
    """Kill one training until it is through, or all kills are spent; return its problems."""
    problems: list[str] = []
    folder = lab.folder(trial)
    while tally.kills < num_kills:
        child = lab.start(trial)
        if child.wait(moments.uniform(0, lab.seconds(trial))) is not None:
            if child.code != 0:
                return [*problems, f"it ended with {child.code}: {child.last_words()}"]
            return [*problems, *lab.compare(trial)]
        child.kill()
        tally.kills += 1
        tally.inside_saves += bool(unpublished(folder))
        damaged = torn(folder)
        tally.torn += len(damaged)
        problems += damaged
        lab.progress.advance(_TASK, tally.kills, {})
    return [*problems, *lab.finish(trial)]


def _trial(method: str, name: str) -> Trial:
    return replace(Trial(name=f"{name}-{method}", method=method), num_steps=12, evaluate_every=6)
