"""Real hosts and a real scheduler, made on this machine as root; run by `scripts/test.sh cluster` alone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SETTINGS = [
    "model=tiny_random",
    "self_test.enabled=false",
    "training.max_steps=12",
    "training.global_batch_size=4",
    "training.micro_batch_size=2",
    "optimizer.learning_rate=1e-3",
    "evaluation.before_training=false",
    "evaluation.num_samples=2",
    "evaluation.batch_size=2",
    "evaluation.max_new_tokens=4",
    "dataset.num_train=40",
    "dataset.num_eval=2",
    "checkpoint.every_steps=4",
]
SECONDS = 400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if "FINETUNE_CLUSTER_TESTS" not in os.environ:
                item.add_marker(
                    pytest.mark.skip(reason="changes this machine's network and services: scripts/test.sh cluster")
                )


@pytest.fixture(scope="session", autouse=True)
def environment(repository: Path) -> None:
    """What every host and every job inherits."""
    os.environ["PYTHONPATH"] = str(repository)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["FINETUNE_PYTHON"] = sys.executable


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of one process."""
    runs = tmp_path_factory.mktemp("alone")
    done = shell(sys.executable, "-m", "finetune", "train", f"runs={runs}", "name=alone", *SETTINGS)
    assert done.returncode == 0, done.stderr
    return losses(runs / "alone")


def shell(*words: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=SECONDS)


def losses(run: Path) -> list[float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def num_steps(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_text().count('"loss"') if path.exists() else 0


def exit_code(run: Path) -> int | None:
    path = run / "exit_status.json"
    return int(json.loads(path.read_text())["code"]) if path.exists() else None


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)
