"""Every launcher that the README names, with two processes on this machine's CPU: the same losses as with one."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from finetune.config.launched import check_launched, is_told_by_main_rank

BIN = Path(sys.executable).parent
SETTINGS = [
    "model=tiny_random",
    "self_test.enabled=false",
    "training.max_steps=2",
    "training.global_batch_size=4",
    "training.micro_batch_size=2",
    "optimizer.learning_rate=1e-3",
    "evaluation.before_training=false",
    "evaluation.num_samples=2",
    "evaluation.batch_size=2",
    "evaluation.max_new_tokens=4",
    "dataset.num_train=8",
    "dataset.num_eval=2",
]
LAUNCHERS = {
    "torchrun": ["torchrun", "--nproc-per-node", "2", "--master-port", "PORT"],
    "accelerate": ["accelerate", "launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "PORT"],
    "deepspeed": ["deepspeed", "--num_gpus", "2", "--master_port", "PORT"],
}

# Other tests of this process have set them: Hydra's asks for tracebacks.
_LEFT_BY_OTHERS = ("WORLD_SIZE", "RANK", "HYDRA_FULL_ERROR")


def launched(launcher: str, *words: str, repository: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Type a launcher's line; "alone" is none."""
    port = _free_port()
    module = ["--module"] if launcher == "deepspeed" else ["-m"]
    line = [port if word == "PORT" else word for word in LAUNCHERS.get(launcher, [sys.executable])]
    program = line[0] if launcher == "alone" else str(BIN / line[0])
    environment = {name: value for name, value in os.environ.items() if name not in _LEFT_BY_OTHERS}
    environment |= {
        "PYTHONPATH": str(repository),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        # The launchers find their own Python by it.
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    return subprocess.run(
        [program, *line[1:], *module, "finetune", *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_readme_types_the_line_that_runs_here(launcher: str, repository: Path) -> None:
    words = [word for word in LAUNCHERS[launcher] if word != "PORT" and "port" not in word]
    assert f"\n{' '.join(words)} " in (repository / "README.md").read_text(encoding="utf-8")


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


@pytest.fixture(scope="module")
def alone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of one process."""
    folder = tmp_path_factory.mktemp("alone")
    answer = launched("alone", "train", "name=cells", *SETTINGS, repository=repository, folder=folder)
    assert answer.returncode == 0, answer.stderr
    return losses(folder / "runs" / "cells")


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_train_what_one_does(launcher: str, alone: list[float], repository: Path, tmp_path: Path) -> None:
    answer = launched(launcher, "train", "name=cells", *SETTINGS, repository=repository, folder=tmp_path)
    assert answer.returncode == 0, answer.stderr
    run = tmp_path / "runs" / "cells"
    assert losses(run) == pytest.approx(alone, abs=1e-5)
    assert json.loads((run / "exit_status.json").read_text())["code"] == 0
    # A second run of one process each would say it twice.
    assert answer.stdout.count("report: ") == 1


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_mistake_is_told_once_and_starts_nothing(launcher: str, repository: Path, tmp_path: Path) -> None:
    answer = launched(launcher, "train", "peft.rnk=8", repository=repository, folder=tmp_path)
    assert answer.returncode != 0
    assert answer.stderr.count("did you mean peft.rank?") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_accelerate_that_would_start_one_process_of_two_is_refused(repository: Path, tmp_path: Path) -> None:
    line = [str(BIN / "accelerate"), "launch", "--cpu", "--num_processes", "2", "-m", "finetune", "train"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    answer = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert answer.returncode != 0
    assert "accelerate launch was asked for several processes and started one; add --multi_gpu" in answer.stderr
    assert not (tmp_path / "runs").exists()


def refusal(environment: dict[str, str]) -> str:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        check_launched(environment)
    return str(raised.value)


@pytest.mark.parametrize(
    ("variable", "launcher"),
    [("SLURM_STEP_NUM_TASKS", "srun"), ("OMPI_COMM_WORLD_SIZE", "mpirun"), ("PMI_SIZE", "mpirun")],
)
def test_processes_that_do_not_know_each_other_are_refused(variable: str, launcher: str) -> None:
    assert f"{launcher} started 4 processes that would each train a run of their own" in refusal({variable: "4"})
    # torchrun below srun, and a step of one task.
    check_launched({variable: "4", "WORLD_SIZE": "8"})
    check_launched({variable: "1"})


def test_what_all_ranks_agreed_on_is_told_by_the_main_one_alone() -> None:
    assert is_told_by_main_rank(75, {"RANK": "1"})
    assert not is_told_by_main_rank(75, {"RANK": "0"})
    assert not is_told_by_main_rank(75, {})


def test_a_rank_that_is_alone_with_its_mistake_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("finetune.config.launched.time.sleep", waited.append)
    assert not is_told_by_main_rank(2, {"RANK": "3"})
    assert len(waited) == 1


def test_one_process_without_a_launcher_is_no_mistake() -> None:
    check_launched({})
    check_launched({"MASTER_ADDR": "head", "MASTER_PORT": "29500"})


def words_of(script: Path) -> Sequence[str]:
    return script.read_text().split()


def test_the_batch_scripts_shield_the_launcher_and_wait_for_all_ranks(repository: Path) -> None:
    words = words_of(repository / "scripts" / "slurm" / "train.sbatch")
    for word in ("--signal=B:USR1@180", "--requeue", "--open-mode=append", "--kill-on-bad-exit=1"):
        assert word in words
