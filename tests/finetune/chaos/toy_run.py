"""A training without torch, right or wrong in one way, killed at random by `finetune.chaos.kills`.

Arguments: a folder, and what is wrong: nothing, loss, order, torn, forgets or weight. Prints the promise as JSON.
"""

import hashlib
import json
import struct
import sys
import time
from dataclasses import asdict
from pathlib import Path

from finetune.chaos.kills import kill_at_random
from finetune.chaos.laboratory import Laboratory, Trial
from finetune.reporting.progress import NoProgress

STEP_SECONDS = 0.01
NUM_KILLS = 12


def train(trial: Trial, root: Path, wrong: str) -> None:
    """Add up samples in an order that the step decides, and save after every second one."""
    folder = root / trial.name
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    saved = sorted((folder / "checkpoints").glob("step-*"))
    step, weight = load(saved[-1]) if saved else (0, 1.0)
    is_resumed = bool(saved)
    lines = lines_until(folder, step) if wrong != "forgets" else []
    (folder / "metrics.jsonl").write_text("".join(lines))
    while step < trial.num_steps:
        sample = (step * 7 + (1 if wrong == "order" and is_resumed else 0)) % 12
        weight += sample / 3
        step += 1
        loss = 1 / weight + (1e-15 if wrong == "loss" and is_resumed else 0.0)
        time.sleep(STEP_SECONDS)
        with (folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, "loss": loss, "examples_per_second": time.time()}) + "\n")
        if step % trial.save_every == 0:
            wrong_weight = weight + 1e-12 if wrong == "weight" and is_resumed else weight
            save(folder / "checkpoints", step, wrong_weight, is_atomic=wrong != "torn")


def lines_until(folder: Path, step: int) -> list[str]:
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]


def save(checkpoints: Path, step: int, weight: float, *, is_atomic: bool) -> None:
    name = f"step-{step:08d}"
    folder = checkpoints / (f".tmp-{name}" if is_atomic else name)
    folder.mkdir(exist_ok=True)
    header = json.dumps({"weight": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}).encode()
    tensors = struct.pack("<Q", len(header)) + header + struct.pack("<d", weight)
    files = {"trained.safetensors": tensors, "state.json": json.dumps({"step": step}).encode()}
    for file, content in files.items():
        (folder / file).write_bytes(content)
        time.sleep(STEP_SECONDS)
    records = {file: {"sha256": hashlib.sha256(content).hexdigest()} for file, content in files.items()}
    (folder / "MANIFEST.json").write_text(json.dumps({"step": step, "files": records}))
    if is_atomic:
        folder.rename(checkpoints / name)


def load(checkpoint: Path) -> tuple[int, float]:
    content = (checkpoint / "trained.safetensors").read_bytes()
    return int(checkpoint.name.removeprefix("step-")), struct.unpack("<d", content[-8:])[0]


def main(folder: Path, wrong: str) -> None:
    lab = Laboratory(
        train=lambda trial, root: train(trial, root, wrong),
        before_evaluation=lambda action: None,
        root=folder,
        logs=folder,
        methods=("toy",),
        seed=0,
        progress=NoProgress(),
    )
    print(json.dumps(asdict(kill_at_random(lab, "toy", NUM_KILLS))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
