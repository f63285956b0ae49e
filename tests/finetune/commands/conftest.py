"""A run that the command line itself has trained, small enough to be made once for all tests of the commands."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from finetune import cli

# Small everything: one layer each, four image tokens, a handful of scenes.
SMALL = [
    "model=tiny_random",
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


@pytest.fixture
def repaired_dataset(tmp_path: Path) -> list[str]:
    """The words that name a data set of four images with a box each, one of which leaves its image."""
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    boxes = [[10, 10, 50, 50], [10, 10, 50, 50], [10, 10, 50, 50], [10, 10, 50, 150]]
    rows = [{"image": "a.png", "boxes": [{"label": "cell", "box": box}]} for box in boxes]
    for split in ("train", "val"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = [f"root={tmp_path}", "box_format=xyxy_pixels", "bad_boxes=repair"]
    others = [word for word in SMALL if not word.startswith("dataset.")]
    return ["dataset=jsonl", *(f"dataset.{setting}" for setting in settings), "recipe=detection", *others]
