"""What is refused before torch is imported."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from finetune.commands.preflight import require_writable, require_writable_file, steps_of, warn_of_shared_rows
from finetune.config.schema import RunConfig
from finetune.data.mixture import Mixture, MixturePart
from finetune.settings import TrainingSettings

from .conftest import SMALL


@pytest.mark.parametrize(
    ("words", "environment", "answer"),
    [
        (["schedule.warmup_ratio=null", "schedule.warmup_steps=4"], {}, "warm-up takes 4 of 4 steps"),
        (["resume.mode=require"], {}, "holds no run"),
        ([], {"WORLD_SIZE": "3"}, "times 3 processes"),
        (["data.row_tokens=130"], {}, "data.row_tokens=130 must be at least 133: 4 image tokens"),
        (["model.dtype=bf16"], {}, "precision=fp32 needs model.dtype=fp32, got bf16; set"),
        (["peft=lora", "optimizer=muon"], {}, "optimizer=muon trains no adapters: choose"),
        (["distributed=fsdp2", "optimizer=muon", "peft=none"], {}, "Muon needs whole tensors and distributed=fsdp2"),
        (["distributed=zero3", "model.trainable_dtype=bf16"], {}, "distributed=zero3 trains weights in fp32, got"),
        (["distributed=fsdp2", "training.compile_layers=true"], {}, "compile_layers=true and distributed=fsdp2 are"),
        (["runs=/etc/passwd"], {}, "runs: nothing can be written to /etc/passwd/x: Not a directory"),
        (["runs=/proc"], {}, "runs: nothing can be written to /proc/x"),
    ],
)
def test_a_run_that_cannot_be_is_refused_without_torch(
    words: list[str], environment: dict[str, str], answer: str, repository: Path, tmp_path: Path
) -> None:
    line = ["train", "name=x", *SMALL, *words]
    program = f"import sys; from finetune.cli import run; code = run({line!r}); assert 'torch' not in sys.modules;"
    done = subprocess.run(
        [sys.executable, "-c", f"{program} sys.exit(code)"],
        env={"PATH": "/usr/bin", "PYTHONPATH": str(repository), **environment},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer in done.stderr
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") <= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("epochs", "steps"), [(1.0, 3), (2.0, 5), (0.1, 1)])
def test_epochs_are_rounded_up_to_whole_windows(epochs: float, steps: int) -> None:
    training = TrainingSettings(global_batch_size=4, micro_batch_size=4, max_steps=None, epochs=epochs)
    assert steps_of(RunConfig(training=training), 10) == steps


def test_a_folder_that_can_be_made_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable_file(tmp_path / "a" / "b" / "page.html", "to")
    require_writable(tmp_path / "a" / "b", "to")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("trained", "scored", "is_said"),
    [("train+val", "val", True), ("train", "val", False), ("train+val[:-2]", "val[-2:]", False), ("a", "a", True)],
)
def test_scores_of_what_is_trained_on_are_said_to_be_no_result(
    trained: str, scored: str, is_said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = SimpleNamespace(train_split=trained, eval_split=scored)
    warn_of_shared_rows(RunConfig(dataset=dataset))
    assert ("its scores are no result" in capsys.readouterr().err) is is_said
    warn_of_shared_rows(RunConfig(dataset=dataset, training=TrainingSettings(max_steps=0)))
    assert capsys.readouterr().err == ""
    other = SimpleNamespace(train_split="train", eval_split="val")
    mixture = Mixture(parts={"a": MixturePart(recipe=None), "b": MixturePart(recipe=None, dataset=dataset)})
    warn_of_shared_rows(RunConfig(dataset=other, recipe=mixture))
    assert ("its scores are no result" in capsys.readouterr().err) is is_said
