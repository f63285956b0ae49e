"""`finetune chaos` on runs that are set up in other ways than the usual one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

RUNS = {
    "full-adafactor": ["peft=none", "optimizer=adafactor"],
    "dora-sgd": ["peft.use_dora=true", "optimizer=sgd", "schedule=constant"],
    "packed-bf16": ["data.row_tokens=512", "training.precision=bf16", "model.trainable_dtype=bf16", "model.dtype=bf16"],
    "muon": ["peft=none", "optimizer=muon"],
    "mixture": ["recipe=mixture", "data.keep_images_together=true"],
    "vqa": ["recipe=vqa", "training.normalization=token"],
}


@pytest.mark.parametrize("words", RUNS.values(), ids=RUNS.keys())
def test_every_promise_holds(words: list[str], tmp_path: Path, repository: Path) -> None:
    faults = "faults=[kills,save_points,corruption,signals,disk]"
    command = [sys.executable, "-m", "finetune", "chaos", f"runs={tmp_path}", faults, "kills=20", "brief=true", *words]
    done = subprocess.run(command, cwd=repository, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (record,) = (tmp_path / "chaos").glob("*.json")
    found = json.loads(record.read_text())
    assert found["kept"]
    assert all(promise["tried"] == promise["held"] for promise in found["promises"])
