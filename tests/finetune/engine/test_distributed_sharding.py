"""However ranks divide a learner, it learns what one process learns, and what it saves is whole."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

TIMEOUT_SECONDS = 1500
WORKER = Path(__file__).parent / "sharded_ranks.py"
PLAN = {"single": "lora,full,lora_bf16", "fsdp2": "lora,full", "zero3": "lora,full,lora_bf16", "zero2": "lora"}
EVERY_CASE = "lora,full,lora_sgd,full_frozen_images,lora_bf16"
WITH_ADAMW = "lora,full,full_frozen_images,lora_bf16"
NIGHTLY_PLAN = {
    **dict.fromkeys(("single", "ddp", "fsdp2"), EVERY_CASE),
    **dict.fromkeys(("zero2", "zero3"), WITH_ADAMW),
}
# It moves all scores of a query alike: its gradient is zero but for rounding, which Adam makes a step of.
WITHOUT_GRADIENT = "self_attn.k_proj.bias"


def cells(plan: dict[str, str]) -> list[tuple[str, str]]:
    return [(mode, case) for mode, cases in plan.items() if mode != "single" for case in cases.split(",")]


def follow(plan: dict[str, str], repository: Path, folder: Path) -> Path:
    """Train everything of a plan; return the folder with what was found and saved."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ACCELERATE_")}
    shared = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(repository), "CUDA_VISIBLE_DEVICES": ""}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(WORKER), str(folder), str(port)]
    done = subprocess.run(
        [*command, *(f"{mode}={cases}" for mode, cases in plan.items())],
        cwd=repository,
        env={**inherited, **shared},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    # Where there is no GPU, DeepSpeed need not look for one.
    assert "Setting accelerator to CPU" not in done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def trained(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What every check trains."""
    return follow(PLAN, repository, tmp_path_factory.mktemp("sharding"))


def found(folder: Path, mode: str, case: str) -> list[dict[str, Any]]:
    """Return what each rank found."""
    return [json.loads(path.read_text())[case] for path in sorted(folder.glob(f"{mode}-?.json"))]


def saved(folder: Path, mode: str, case: str, when: str = "") -> dict[str, Tensor]:
    return load_file(folder / f"{case}-{mode}{when}.safetensors")


def furthest(left: dict[str, Tensor], right: dict[str, Tensor]) -> float:
    """Return the largest difference between states of the same tensors."""
    assert {name: (t.shape, t.dtype) for name, t in left.items()} == {n: (t.shape, t.dtype) for n, t in right.items()}
    return max(float((left[name] - right[name]).abs().max()) for name in left if WITHOUT_GRADIENT not in name)


def check_cell(folder: Path, mode: str, case: str) -> dict[str, float]:
    """Hold one division against one process, and return by how much it differs."""
    (alone,) = found(folder, "single", case)
    ranks = found(folder, mode, case)
    differences = {}
    for key, expected in (("losses", alone["losses"]), ("resumed", alone["losses"][-len(ranks[0]["resumed"]) :])):
        assert ranks[0][key] == ranks[1][key]
        assert len(ranks[0][key]) == len(expected)
        differences[key] = max(abs(a - b) for a, b in zip(ranks[0][key], expected, strict=True))
    differences["weights"] = furthest(saved(folder, mode, case, "-last"), saved(folder, "single", case, "-last"))
    assert max(differences.values()) < 1e-5, differences
    # A rank without a sample waits for nobody and holds nobody up.
    assert all(rank["said"] == alone["said"] for rank in ranks)
    restored, given = saved(folder, mode, case, "-restored"), saved(folder, "single", case)
    assert restored.keys() == given.keys()
    assert all(torch.equal(restored[name], given[name]) for name in given)
    return {**differences, "seconds": ranks[0]["seconds"]}


@pytest.mark.parametrize(("mode", "case"), cells(PLAN))
def test_two_ranks_learn_say_save_and_resume_what_one_process_does(trained: Path, mode: str, case: str) -> None:
    check_cell(trained, mode, case)


def test_saved_states_are_whole_and_interchangeable(trained: Path) -> None:
    states = {mode: saved(trained, mode, "lora") for mode in PLAN}
    for state in states.values():
        assert furthest(state, states["single"]) < 1e-5
        assert all(tensor.numel() for tensor in state.values())


@pytest.mark.nightly
def test_every_case_in_every_division(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = follow(NIGHTLY_PLAN, repository, tmp_path)
    lines = ["division  case                  loss     resumed  weights  seconds"]
    for mode, case in cells(NIGHTLY_PLAN):
        row = check_cell(folder, mode, case)
        measured = "  ".join(f"{row[key]:.1e}" for key in ("losses", "resumed", "weights"))
        lines.append(f"{mode:8}  {case:20}  {measured}  {row['seconds']:.1f}")
    with capsys.disabled():
        print("\n" + "\n".join(lines))
