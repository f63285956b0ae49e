"""A run that the command line itself has trained, small enough to be made once for all tests of the commands."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli

# Small everything: one layer each, four image tokens, a handful of scenes.
SMALL = [
    "model.image_size=28",
    "model.vision_depth=1",
    "model.decoder_depth=1",
    "model.vision_width=32",
    "model.decoder_width=64",
    "dataset.num_train=24",
    "dataset.num_eval=6",
    "training.global_batch_size=4",
    "training.micro_batch_size=2",
    "training.max_steps=4",
    "evaluation.max_new_tokens=12",
    "evaluation.gallery_size=3",
    "optimizer.learning_rate=0.01",
]


@pytest.fixture(scope="session")
def finetune() -> Callable[..., None]:
    """Type a command line; it must succeed."""

    def run(*words: str) -> None:
        assert cli.run(list(words)) == 0

    return run


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, finetune: Callable[..., None]) -> Path:
    """The folder of a finished LoRA run with a checkpoint in the middle and one at the end."""
    runs = tmp_path_factory.mktemp("runs")
    finetune("train", f"runs={runs}", "name=small", "checkpoint.every_steps=2", "evaluation.every_steps=2", *SMALL)
    return runs / "small"
