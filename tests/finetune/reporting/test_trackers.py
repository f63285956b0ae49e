"""The choices of `tracking=`."""

import subprocess
import sys
from pathlib import Path

import pytest

from finetune.reporting.description import RunDescription
from finetune.reporting.trackers import NoTracker, TensorBoardTracker, WandbMode, WandbTracker


def test_choosing_a_tracker_loads_nothing_heavy() -> None:
    heavy = "torch transformers peft accelerate datasets wandb tensorboard"
    code = (
        "import sys; from finetune.reporting.trackers import WandbTracker; WandbTracker();"
        f"print(sorted(set('{heavy}'.split()) & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_a_project_needs_a_name() -> None:
    with pytest.raises(ValueError, match="project must not be empty"):
        WandbTracker(project="")


def test_a_timeout_must_be_positive() -> None:
    with pytest.raises(ValueError, match="init_timeout_seconds must be above 0"):
        WandbTracker(init_timeout_seconds=0)


def test_only_wandb_takes_an_adapter_and_only_on_request() -> None:
    assert not NoTracker().wants_adapter
    assert not TensorBoardTracker().wants_adapter
    assert not WandbTracker().wants_adapter
    assert WandbTracker(log_artifact=True, mode=WandbMode.offline).wants_adapter


def test_no_tracker_takes_everything_and_keeps_nothing(tmp_path: Path) -> None:
    run = NoTracker().start(RunDescription(name="r", num_steps=1, config={}, config_text=""), tmp_path)
    run.log({"loss": 1.0}, 1)
    run.log_predictions([], 1)
    run.log_artifact(tmp_path, "adapter")
    run.rewind(0)
    run.finish(0)
    assert run.where() == ""
    assert list(tmp_path.iterdir()) == []
