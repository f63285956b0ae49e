"""What two ranks trained that divide the weights is exported as what one process trained, by the command line."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from finetune import cli

pytestmark = pytest.mark.nightly

SETTINGS = [
    "model=tiny_random", "self_test.enabled=false", "training.max_steps=6", "training.global_batch_size=4",
    "training.micro_batch_size=2", "training.precision=fp32", "optimizer.learning_rate=3e-3",
    "evaluation.before_training=false", "evaluation.num_samples=2", "evaluation.batch_size=2",
    "evaluation.max_new_tokens=4", "dataset.num_train=16", "dataset.num_eval=2",
]  # fmt: skip
ADAPTERS = ["peft=lora", "peft.rank=3", "peft.connector=true", "peft.image_encoder=true"]
EVERYTHING = ["peft=none"]
# It moves all scores of a query alike: its gradient is zero but for rounding, which Adam makes a step of.
WITHOUT_GRADIENT = "self_attn.k_proj.bias"


def train(name: str, words: list[str], *, num_ranks: int, repository: Path, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ["torch.distributed.run", f"--nproc-per-node={num_ranks}", f"--master-port={port}", "-m"]
    line = [*(launcher if num_ranks > 1 else []), "finetune", "train", f"runs={folder}", f"name={name}"]
    done = subprocess.run(
        [sys.executable, "-m", *line, *SETTINGS, *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def exported(run: Path, form: str) -> dict[str, Tensor]:
    """Return all weights that an export of the run holds."""
    target = run.parent / f"{run.name}-{form}"
    assert cli.run(["export", f"run={run}", f"format={form}", f"to={target}"]) == 0
    files = sorted(target.glob("*.safetensors"))
    assert files
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


@pytest.mark.parametrize(("forms", "words"), [(("adapter", "merged"), ADAPTERS), (("merged",), EVERYTHING)])
def test_exports_are_those_of_one_process(
    forms: tuple[str, ...], words: list[str], repository: Path, tmp_path: Path
) -> None:
    train("alone", words, num_ranks=1, repository=repository, folder=tmp_path)
    for mode in ("fsdp2", "zero3"):
        train(mode, [*words, f"distributed={mode}"], num_ranks=2, repository=repository, folder=tmp_path)
    for form in forms:
        expected = exported(tmp_path / "alone", form)
        assert any(tensor.abs().max() > 0 for tensor in expected.values())
        for mode in ("fsdp2", "zero3"):
            found = exported(tmp_path / mode, form)
            assert {name: (t.shape, t.dtype) for name, t in found.items()} == {
                name: (t.shape, t.dtype) for name, t in expected.items()
            }
            compared = [name for name in expected if WITHOUT_GRADIENT not in name]
            for name in compared:
                torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-5, msg=f"{mode}: {name}")
