"""Sweeps: a folder and a tracked run for each job, grouped; typed again, they run what is missing."""

import json
import os
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

import finetune
from finetune.cli import run
from finetune.commands.run_identity import IDENTITY_FILE, immutable_settings, run_folder
from finetune.config.plain import plain
from finetune.config.replay import CommandLine
from finetune.config.schema import RunConfig
from finetune.config.sweeps import sweep_name
from finetune.engine.identity import Identity, write_identity
from finetune.engine.stops import NonFiniteError, PreemptedError
from finetune.reporting.exit_status import ExitStatus, write_exit_status
from finetune.reporting.trackers import WandbTracker

SEARCH = [
    "train",
    "-m",
    "hydra/sweeper=optuna",
    "evaluation.best_metric=mAP50",
    "optimizer.learning_rate=interval(1e-4,1e-2)",
]
BEST = 3e-3


class Played:
    """Stands in for training: leaves what a run leaves behind, with a score that is best at one learning rate."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.configs: list[RunConfig] = []
        self.before_end: Callable[[int], None] = lambda number: None

    def train(self, config: RunConfig, line: CommandLine) -> None:
        self.names.append(str(config.name))
        self.configs.append(config)
        folder = run_folder(config)
        folder.mkdir(parents=True, exist_ok=True)
        write_identity(folder / IDENTITY_FILE, Identity(settings=immutable_settings(config)))
        (folder / "run.json").write_text(json.dumps({"config": plain(config)}))
        self.before_end(len(self.names))
        score = 1 - abs(config.optimizer.learning_rate - BEST)
        lines = [{"step": 0, "eval/mAP50": 2.0}, {"step": 5, "eval/mAP50": score}, {"step": 9, "eval/mAP50": score / 2}]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        write_exit_status(folder, ExitStatus(code=0, step=9, message="finished"))


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Played:
    stand_in, module = Played(), types.ModuleType("finetune.assemble")
    module.train = stand_in.train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "finetune.assemble", module)
    monkeypatch.setattr(finetune, "assemble", module, raising=False)
    monkeypatch.setattr(sys, "argv", ["finetune"])
    monkeypatch.chdir(tmp_path)
    return stand_in


def preempt_at(number: int) -> Callable[[int], None]:
    def act(done: int) -> None:
        if done == number:
            raise PreemptedError("asked to end after step 5 of 9")

    return act


def test_the_same_sweep_again_runs_what_is_missing(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["train", "-m", "seed=0,1,2,3"]
    played.before_end = preempt_at(3)
    assert run(line) == 75
    assert len(played.names) == 3
    capsys.readouterr()
    played.before_end = lambda number: None
    assert run(line) == 0
    # The third was interrupted and the fourth was never begun.
    assert played.names[3:] == [f"detection-scenes-tiny-lora-seed{seed}" for seed in (2, 3)]
    assert capsys.readouterr().out.count("is done already: runs/") == 2


def test_a_finished_job_with_more_to_do_is_run_again(played: Played) -> None:
    line = ["train", "-m", "seed=0,1", "schedule=constant", "schedule.warmup_ratio=0"]
    assert run(line) == 0
    assert run([*line, "training.max_steps=200"]) == 0
    assert len(played.names) == 4


def test_a_finished_job_of_other_settings_is_not_taken_for_this_one(played: Played) -> None:
    assert run(["train", "-m", "seed=0,1"]) == 0
    assert run(["train", "-m", "seed=0,1", "peft.rank=4"]) == 0
    assert len(played.names) == 4


def test_a_single_run_is_never_passed_over(played: Played) -> None:
    assert [run(["train"]), run(["train"])] == [0, 0]
    assert len(played.names) == 2


def test_the_jobs_of_a_sweep_are_one_group_of_tracked_runs(played: Played) -> None:
    assert run(["train", "-m", "seed=0,1", "tracking=wandb", "tracking.mode=offline"]) == 0
    groups = {config.tracking.group for config in played.configs if isinstance(config.tracking, WandbTracker)}
    assert groups == {sweep_name(["seed=0,1"])}
    assert len({config.name for config in played.configs}) == 2
    assert run(["train", "-m", "seed=0,1", "tracking=wandb", "name=cells"]) == 0
    assert played.configs[-1].tracking.group == "cells"
    assert run(["train", "-m", "seed=0,1", "tracking=wandb", "tracking.group=mine", "name=others"]) == 0
    assert played.configs[-1].tracking.group == "mine"


def test_a_sweep_has_the_same_name_however_and_wherever_it_runs() -> None:
    plain_words = ["seed=0,1", "peft.rank=2"]
    assert sweep_name(plain_words) == sweep_name(["peft.rank=2", "hydra/launcher=slurm", "runs=there", "seed=0,1"])
    assert sweep_name(plain_words) != sweep_name(["seed=0,1", "peft.rank=3"])
    assert sweep_name([*plain_words, "name=cells"]) == "cells"


def test_a_search_tries_new_values_and_says_which_was_best(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SEARCH, "hydra.sweeper.n_trials=4", "name=s"]) == 0
    rates = [config.optimizer.learning_rate for config in played.configs]
    assert len(set(rates)) == len(set(played.names)) == 4
    best = min(rates, key=lambda rate: abs(rate - BEST))
    last = capsys.readouterr().out.splitlines()[-1]
    assert (
        last
        == f"finetune train: search s: 4 trials, best mAP50 {1 - abs(best - BEST):g}: optimizer.learning_rate={best}"
    )


def test_an_interrupted_search_goes_on_with_the_same_trial_and_the_rest(
    played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    line = [*SEARCH, "hydra.sweeper.n_trials=4"]
    played.before_end = preempt_at(2)
    assert run(line) == 75
    interrupted = played.names[-1]
    played.before_end = lambda number: None
    assert run(line) == 0
    assert played.names[2] == interrupted
    assert len(played.names) == 5
    assert len(set(played.names)) == 4
    assert "1 trials are there, 3 to go" in capsys.readouterr().out
    assert run(line) == 0
    assert len(played.names) == 5
    assert run([*line[:-1], "hydra.sweeper.n_trials=5"]) == 0
    assert len(set(played.names)) == 5


def test_a_failed_trial_ends_neither_the_search_nor_its_exit_code(
    played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(number: int) -> None:
        if number == 1:
            raise NonFiniteError("three steps in a row were not finite")

    played.before_end = fail
    assert run([*SEARCH, "hydra.sweeper.n_trials=3"]) == 3
    assert len(played.names) == 3
    printed = capsys.readouterr()
    assert "2 trials, best mAP50" in printed.out
    assert "Traceback" not in printed.err
    assert printed.err == "finetune train: three steps in a row were not finite\n"


def test_a_search_in_which_all_fails_says_so_without_a_traceback(
    played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    played.before_end = lambda number: (_ for _ in ()).throw(NonFiniteError("not finite"))
    assert run([*SEARCH, "hydra.sweeper.n_trials=2"]) == 3
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("train -m hydra/sweeper=optuna seed=0,1", "needs evaluation.best_metric=<score>"),
        (" ".join([*SEARCH[:3], "evaluation.best_metric=total", "seed=0,1"]), "no value of it is better than another"),
        (" ".join([*SEARCH, "hydra.sweeper.direction=minimize"]), "is that of evaluation.best_metric; leave it out"),
        ("evaluate -m hydra/sweeper=optuna seed=0,1", "searches with finetune train"),
    ],
)
def test_a_search_that_cannot_work_is_refused(words: str, answer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert answer in capsys.readouterr().err


def test_two_searches_are_never_mixed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SEARCH, "hydra.sweeper.n_trials=1", "name=s"]) == 0
    assert run([*SEARCH, "hydra.sweeper.n_trials=2", "name=s", "peft.rank=4"]) == 2
    error = capsys.readouterr().err
    assert "was begun with other settings" in error
    assert "is now peft.rank=4" in error


def test_each_job_can_have_a_process_of_its_own_and_its_mistake_comes_back(repository: Path, tmp_path: Path) -> None:
    words = [
        "hydra/launcher=processes",
        "hydra.launcher.cpus_per_task=1",
        "dataset=voc",
        "dataset.root=nowhere",
        "seed=0",
    ]
    answer = subprocess.run(
        [sys.executable, "-m", "finetune", "train", "-m", *words],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(repository)}, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert answer.returncode == 2
    assert "failed with exit code 2; its log says why" in answer.stderr
    (log,) = (tmp_path / "runs" / ".multirun" / ".submitit").glob("*/*_log.err")
    assert "dataset.root" in log.read_text()
    assert "Traceback" not in log.read_text().partition("submitit")[0]
