"""Where trainings are started, looked at and thrown away: what every fault test needs."""

import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from finetune.chaos.evidence import Evidence, differences, read_evidence, torn
from finetune.chaos.processes import Child, Children
from finetune.reporting.progress import Progress

# A process that takes so many times what an undisturbed run takes, or so many seconds, is taken to hang.
_PATIENCE, _LEAST_PATIENCE_SECONDS = 30.0, 120.0
_REFERENCE = "unbroken"
_HERE = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training on the stand-in model.

    Args:
        name: Of its folder.
        method: How it trains: one of the laboratory's methods.
        save_every, evaluate_every: Steps between checkpoints, and between evaluations; None: only at the end.
        is_smooth: Whether dropout is off, whose masks follow the division into micro-batches.
        world_size: Processes that share it.
        rank_timeout_s: Seconds after which a silent rank is given up; None: as the user has it.
    """

    name: str
    method: str
    num_steps: int = 8
    save_every: int = 2
    evaluate_every: int | None = 4
    micro_batch_size: int = 2
    is_smooth: bool = False
    world_size: int = 1
    rank_timeout_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Laboratory:
    """Starts trainings and compares them with undisturbed ones.

    Args:
        train: Trains a trial in this process, as `finetune train` does, in its folder under the one that is given.
        before_evaluation: Lets something happen in this process before the first evaluation.
        root: The folder of all trials.
        logs: The folder of what they print.
        methods: The ways of training to test, such as lora and full.
        seed: Decides the random moments.
    """

    train: Callable[[Trial, Path], None]
    before_evaluation: Callable[[Callable[[], None]], None]
    root: Path
    logs: Path
    methods: tuple[str, ...]
    seed: int
    progress: Progress
    children: Children = field(default_factory=Children)
    _references: dict[Trial, tuple[Evidence, float]] = field(default_factory=dict)

    def folder(self, trial: Trial) -> Path:
        """Return a trial's folder."""
        return self.root / trial.name

    def log(self, trial: Trial, rank: int = 0) -> Path:
        """Return where a process of a trial prints to."""
        return self.logs / (f"{trial.name}.log" if trial.world_size == 1 else f"{trial.name}-rank{rank}.log")

    def start(self, trial: Trial, prepare: Callable[[], None] = lambda: None) -> Child:
        """Start or continue a trial of one process.

        Args:
            prepare: Called in that process first, to arm faults.
        """
        (child,) = self.start_ranks(trial, lambda rank: prepare())
        return child

    def start_ranks(self, trial: Trial, prepare: Callable[[int], None] = lambda rank: None) -> list[Child]:
        """Start or continue a trial, each of its ranks in a process of its own.

        Args:
            prepare: Called in each of them first, with its rank.
        """
        port = free_port() if trial.world_size > 1 else 0
        return [
            self.children.fork(
                partial(self._work, trial, prepare, rank), self.log(trial, rank), _launched(trial, rank, port)
            )
            for rank in range(trial.world_size)
        ]

    def _work(self, trial: Trial, prepare: Callable[[int], None], rank: int) -> None:
        prepare(rank)
        self.train(trial, self.root)

    def elsewhere(self, root: Path) -> "Laboratory":
        """Return a laboratory for a process of its own, whose trials lie in another folder."""
        return replace(self, root=root, children=Children())

    def finish(self, trial: Trial) -> list[str]:
        """Continue a trial to its end, and say how that differs from the undisturbed run."""
        patience = self.patience(trial)
        children = self.start_ranks(trial)
        problems = [problem for child in children for problem in self.ended(child, patience, code=0)]
        return problems or self.compare(trial)

    def compare(self, trial: Trial) -> list[str]:
        """Say which checkpoints of a trial that has ended are torn; if none is, how it differs from the undisturbed."""
        folder = self.folder(trial)
        return torn(folder) or differences(self.reference(trial), read_evidence(folder))

    def ended(self, child: Child, seconds: float, *, code: int) -> list[str]:
        """Wait for a process, and say what is wrong with its end."""
        found = child.wait(seconds)
        if found is None:
            child.kill()
            return [f"it did not end in {seconds:.0f} s"]
        return [] if found == code else [f"it ended with {found}, not {code}: {child.last_words()}"]

    def reference(self, trial: Trial) -> Evidence:
        """Return what the trial computes when nothing disturbs it."""
        return self._reference(trial)[0]

    def seconds(self, trial: Trial) -> float:
        """Return how long the trial takes when nothing disturbs it."""
        return self._reference(trial)[1]

    def patience(self, trial: Trial) -> float:
        """Return after how many seconds a process of the trial is taken to hang."""
        return max(_LEAST_PATIENCE_SECONDS, _PATIENCE * self.seconds(trial))

    def reference_folder(self, trial: Trial) -> Path:
        """Return the folder of the undisturbed run, which is there after `reference`."""
        self.reference(trial)
        return self.folder(_undisturbed(trial))

    def forget(self, trial: Trial) -> None:
        """Delete what a trial has left, once it needs no explanation."""
        shutil.rmtree(self.folder(trial), ignore_errors=True)
        for rank in range(trial.world_size):
            self.log(trial, rank).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete everything."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _reference(self, trial: Trial) -> tuple[Evidence, float]:
        undisturbed = _undisturbed(trial)
        if undisturbed not in self._references:
            started = time.monotonic()
            children = self.start_ranks(undisturbed)
            limit = _LEAST_PATIENCE_SECONDS * 10
            problems = [problem for child in children for problem in self.ended(child, limit, code=0)]
            if problems:
                raise ValueError(
                    f"the run does not get to its end even undisturbed: {problems[0]}. See {children[0].log}"
                )
            taken = time.monotonic() - started
            self._references[undisturbed] = read_evidence(self.folder(undisturbed)), taken
        return self._references[undisturbed]


def _undisturbed(trial: Trial) -> Trial:
    shape = f"{trial.method}-{trial.num_steps}-{trial.save_every}-{trial.evaluate_every}-{trial.micro_batch_size}"
    ranks = "" if trial.world_size == 1 else f"-{trial.world_size}-ranks"
    name = f"{_REFERENCE}-{shape}{'-smooth' if trial.is_smooth else ''}{ranks}"
    return replace(trial, name=name, rank_timeout_s=None)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((_HERE, 0))
        return int(probe.getsockname()[1])


def _launched(trial: Trial, rank: int, port: int) -> dict[str, str]:
    """Return what a launcher would put into the environment of one rank."""
    if trial.world_size == 1:
        return {}
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(trial.world_size),
        "LOCAL_WORLD_SIZE": str(trial.world_size),
        "MASTER_ADDR": _HERE,
        "MASTER_PORT": str(port),
    }
