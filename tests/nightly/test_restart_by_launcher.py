"""A rank killed once under torchrun with --max-restarts=1: the run is started again by itself and continues exactly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from finetune.chaos.evidence import differences, read_evidence, torn

pytestmark = pytest.mark.nightly

# A package of the user's own, which names a schedule that kills one rank, once.
DYING = """
import os, signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Dying:
    marker: str

    @property
    def depends_on_total_steps(self) -> bool:
        return False

    def check(self, total_steps: int) -> None:
        pass

    def factor(self, step: int, total_steps: int) -> float:
        marker = Path(self.marker)
        if step == 5 and os.environ["RANK"] == "1" and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0
"""
SETTINGS = [
    "model=tiny_random", "self_test.enabled=false", "training.max_steps=8", "training.global_batch_size=4",
    "training.micro_batch_size=2", "training.residual_dropout=0.1", "evaluation.before_training=false",
    "evaluation.num_samples=2", "evaluation.batch_size=2", "evaluation.max_new_tokens=4", "dataset.num_train=16",
    "dataset.num_eval=2", "checkpoint.every_steps=2", "plugins=[dying]", "schedule=dying",
]  # fmt: skip


@pytest.mark.parametrize("meeting", ["--standalone", "--master-port=29417"])
def test_every_number_is_that_of_an_unbroken_run(meeting: str, tmp_path: Path, repository: Path) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    marker = tmp_path / "died"
    (tmp_path / "conf" / "schedule").mkdir(parents=True)
    choice = f"# Dies once.\n_target_: dying.Dying\nmarker: {marker}\n"
    (tmp_path / "conf" / "schedule" / "dying.yaml").write_text(choice)
    environment = {**os.environ, "PYTHONPATH": f"{repository}:{tmp_path}", "OMP_NUM_THREADS": "1"}

    def launch(name: str) -> "subprocess.CompletedProcess[str]":
        words = [
            sys.executable, "-m", "torch.distributed.run", meeting, "--nproc-per-node=2", "--max-restarts=1",
            "-m", "finetune", "train", "--config-dir", str(tmp_path / "conf"), f"runs={tmp_path}", f"name={name}",
            *SETTINGS,
        ]  # fmt: skip
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)

    done = launch("killed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert marker.exists()
    done = launch("unbroken")
    assert done.returncode == 0, done.stdout + done.stderr
    assert torn(tmp_path / "killed") == []
    assert differences(read_evidence(tmp_path / "unbroken"), read_evidence(tmp_path / "killed")) == []
