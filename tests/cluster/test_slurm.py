"""A SLURM controller with two virtual nodes on loopback: batch scripts, arrays, submitted sweeps, and pre-emption."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import HERE, SECONDS, SETTINGS, exit_code, losses, num_steps, shell, wait_until


@pytest.fixture(scope="module", autouse=True)
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    if shutil.which("slurmctld") is None or os.geteuid() != 0:
        pytest.skip("needs root and the packages slurm-wlm and munge")
    folder = tmp_path_factory.mktemp("slurm")
    started = shell(HERE / "slurm.sh", "up", folder)
    try:
        assert started.returncode == 0, started.stderr
        yield
    finally:
        shell(HERE / "slurm.sh", "down", folder)


def submit(script: Path, *words: str, options: list[str], repository: Path) -> str:
    submitted = shell("sbatch", "--parsable", "--cpus-per-task=1", *options, script, *words, cwd=repository)
    assert submitted.returncode == 0, submitted.stderr
    return submitted.stdout.strip()


def state(job: str) -> str:
    return shell("squeue", "--noheader", "--states=all", "--array", f"--jobs={job}", "--format=%T").stdout.strip()


def start_now(job: str) -> None:
    """Spare most of the two minutes that SLURM lets a requeued job wait.

    Not all: a start in the second in which the old one's credential was revoked is refused, and fails the job.
    """
    wait_until(lambda: state(job) == "PENDING", f"job {job} to be queued again")
    shell("scontrol", "update", f"jobid={job}", "starttime=now+5")


def test_two_nodes_save_when_time_is_up_are_queued_again_and_train_what_one_process_does(
    alone: list[float], repository: Path, tmp_path: Path
) -> None:
    script, log = repository / "scripts" / "slurm" / "train.sbatch", tmp_path / "log"
    options = ["--nodes=2", f"--output={log}"]
    job = submit(script, f"runs={tmp_path}", "name=cells", *SETTINGS, options=options, repository=repository)
    wait_until(lambda: num_steps(tmp_path / "cells") >= 3, "three steps")
    # What --signal=B:USR1@180 does three minutes before the time limit.
    shell("scancel", "--batch", "--signal=USR1", job)
    start_now(job)
    assert exit_code(tmp_path / "cells") == 75
    wait_until(lambda: exit_code(tmp_path / "cells") == 0, "the end of training")
    assert losses(tmp_path / "cells") == pytest.approx(alone, abs=1e-5)
    wait_until(lambda: "attempt 2: ended with 0" in log.read_text(), "the batch script's last word")
    assert log.read_text().count("continuing after step") == 1


def test_a_cancelled_job_is_not_queued_again(repository: Path, tmp_path: Path) -> None:
    script = repository / "scripts" / "slurm" / "train.sbatch"
    options = [f"--output={tmp_path / 'log'}"]
    job = submit(script, f"runs={tmp_path}", "name=cells", *SETTINGS, options=options, repository=repository)
    wait_until(lambda: num_steps(tmp_path / "cells") >= 1, "a step")
    shell("scancel", job)
    wait_until(lambda: state(job) == "CANCELLED", "the job's end")
    time.sleep(3)
    assert state(job) == "CANCELLED"


def test_each_task_of_an_array_trains_its_own_line(repository: Path, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs.txt"
    short = [*SETTINGS, "training.max_steps=2"]
    jobs.write_text(
        "".join(f"runs={tmp_path} name=rank-{rank} peft.rank={rank} {' '.join(short)}\n" for rank in (2, 4))
    )
    options = ["--array=0-1", f"--output={tmp_path}/log-%a"]
    submit(repository / "scripts" / "slurm" / "array.sbatch", str(jobs), options=options, repository=repository)
    for rank in (2, 4):
        wait_until(lambda rank=rank: exit_code(tmp_path / f"rank-{rank}") == 0, f"the end of rank {rank}")


def sweep(runs: Path, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "finetune", "train", "-m", "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1",
         "hydra.launcher.timeout_min=10", f"runs={runs}", "name=sweep", *SETTINGS, *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_submitted_sweep_survives_pre_emption_and_typed_again_does_nothing(tmp_path: Path) -> None:
    runs = [tmp_path / f"sweep-seed={seed}" for seed in (0, 1)]
    submitted = sweep(tmp_path, "seed=0,1")
    wait_until(lambda: num_steps(runs[0]) >= 2, "two steps of the first job")
    array = shell("squeue", "--noheader", "--format=%F").stdout.split()[0]
    shell("scancel", "--signal=USR2", f"{array}_0")
    start_now(f"{array}_0")
    assert exit_code(runs[0]) == 75
    output = submitted.communicate(timeout=SECONDS)[0]
    assert submitted.returncode == 0, output
    assert [exit_code(run) for run in runs] == [0, 0]
    again = sweep(tmp_path, "seed=0,1")
    assert again.wait(SECONDS) == 0
    assert [len(losses(run)) for run in runs] == [12, 12]


def test_a_killed_job_ends_the_wait_for_it(tmp_path: Path) -> None:
    submitted = sweep(tmp_path, "seed=5")
    wait_until(lambda: num_steps(tmp_path / "sweep") >= 1, "a step")
    job = shell("squeue", "--noheader", "--format=%i").stdout.split()[0]
    shell("scancel", f"--signal={signal.SIGKILL.value}", "--full", job)
    output = submitted.communicate(timeout=90)[0]
    assert submitted.returncode == 1
    assert "a job of the sweep ended without a result" in output
    assert "Traceback" not in output
