"""`finetune chaos`: break the user's run on a tiny model in every way, and show which promises held."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from finetune import __version__
from finetune.chaos.choices import Fault
from finetune.chaos.corruption import corrupt
from finetune.chaos.elastic import change_ranks
from finetune.chaos.full_disk import fill_disks
from finetune.chaos.interruptions import interrupt
from finetune.chaos.kills import kill_at_random, repeat
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.chaos.lost_ranks import lose_ranks
from finetune.chaos.moments import before_call
from finetune.chaos.progress import progress_without_thread
from finetune.chaos.promise import Promise
from finetune.chaos.record import BrokenPromiseError, is_kept, print_promises, write_record
from finetune.chaos.save_points import kill_in_saves
from finetune.chaos.soak import soak
from finetune.commands import training as training_command
from finetune.commands.preflight import require_writable
from finetune.commands.run_identity import require_resumable, run_folder
from finetune.commands.stand_in import methods, of_trial
from finetune.config.chaos import ChaosCommand
from finetune.config.replay import CommandLine
from finetune.config.schema import RunConfig
from finetune.data.mixture import Ingredient
from finetune.reporting.progress import Progress

_NEEDS_RANKS = (Fault.ranks, Fault.elastic)


def chaos(
    config: RunConfig,
    command: ChaosCommand,
    ingredients: tuple[tuple[Ingredient, ...], tuple[Ingredient, ...]],
    path: Path,
    replaced: list[str],
) -> None:
    """Try every promise that is asked for; print the table, and write it with all details to `path`.

    Args:
        config: The stand-in (`finetune.commands.stand_in`).
        ingredients: Those of training, and those of evaluation.
        replaced: What is not the user's, in sentences.

    Raises:
        BrokenPromiseError: If one did not hold.
    """
    progress = progress_without_thread()
    for line in replaced:
        progress.say(line)
    folder = Path(tempfile.mkdtemp(prefix=f"{path.stem}-", dir=path.parent))
    tested = methods(config)[:1] if command.brief else methods(config)
    lab = _laboratory(config, ingredients, folder, tested, progress)
    promises: list[Promise] = []
    try:
        for promise in _promises(lab, command):
            promises.append(promise)
            progress.say(_told(promise))
            write_record(path, promises, {"run": {"name": config.name, "replaced": replaced}, "made_by": _made_by()})
    finally:
        lab.children.end()
        progress.close()
        if promises:
            print_promises(promises)
            print(f"written to {path}", flush=True)
    if not is_kept(promises):
        raise BrokenPromiseError(f"a promise did not hold; {path} says which, {folder} holds runs and logs")
    lab.clear()


def _laboratory(
    config: RunConfig,
    ingredients: tuple[tuple[Ingredient, ...], tuple[Ingredient, ...]],
    folder: Path,
    tested: tuple[str, ...],
    progress: Progress,
) -> Laboratory:
    training, evaluation = ingredients
    torch.set_num_threads(1)
    _warm_up(config, tested)

    def train(trial: Trial, runs: Path) -> None:
        run = of_trial(config, trial, str(runs))
        require_resumable(run)
        require_writable(run_folder(run), "runs")
        training_command.train(run, CommandLine(overrides=()), training, evaluation)

    return Laboratory(
        train=train,
        before_evaluation=partial(before_call, training_command, "evaluate_all", 1),
        root=folder,
        logs=folder,
        methods=tested,
        seed=config.seed,
        progress=progress,
    )


def _warm_up(config: RunConfig, tested: tuple[str, ...]) -> None:
    """Load a model once, so that what libraries import and prepare at their first use is there for every fork."""
    for method in tested:
        run = of_trial(config, Trial(name="none", method=method), "none")
        loaded = run.model.load()
        run.peft.apply(loaded.model, run.freeze, run.model.trainable_dtype)


def _promises(lab: Laboratory, command: ChaosCommand) -> Iterator[Promise]:
    """Try what is asked for, kind by kind; yield each promise when its tests are over."""
    own, each, is_brief = lab.methods[0], lab.methods, command.brief
    num_kills = -(-command.kills // len(each))
    tests: dict[Fault, Callable[[], Iterator[Promise]]] = {
        Fault.kills: lambda: (kill_at_random(lab, method, num_kills) for method in each),
        Fault.save_points: lambda: (kill_in_saves(lab, method, is_brief=is_brief) for method in each),
        Fault.corruption: lambda: iter([corrupt(lab, own)]),
        Fault.signals: lambda: (interrupt(lab, method, is_brief=is_brief) for method in each),
        Fault.disk: lambda: iter([fill_disks(lab, own)]),
        Fault.ranks: lambda: lose_ranks(lab, own),
        Fault.elastic: lambda: (change_ranks(lab, method) for method in each),
        Fault.soak: lambda: iter([soak(lab, own, command.soak_steps)]),
    }
    yield repeat(lab)
    for fault in command.chosen():
        if fault in _NEEDS_RANKS and not _has_ranks():
            why = "this build of torch cannot connect processes of a CPU: it has no gloo"
            yield Promise(fault=fault.name, text="a run shared by several processes", not_tried=why)
        else:
            yield from tests[fault]()


def _has_ranks() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_gloo_available()


def _told(promise: Promise) -> str:
    what = f"held {promise.held} of {promise.tried}" if promise.tried else "not tried"
    return f"{promise.fault}: {what} in {promise.seconds:.0f} s: {promise.text}. {promise.worst}"


def _made_by() -> dict[str, str]:
    return {"finetune": __version__, "torch": torch.__version__, "python": sys.version.split()[0]}
