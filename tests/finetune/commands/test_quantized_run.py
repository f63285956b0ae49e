"""A QLoRA run as it is typed: trained, interrupted and continued, evaluated, exported."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.reporting.run_folder import RunFolder

from .conftest import SMALL

pytest.importorskip("bitsandbytes", reason="the extra `bnb` is not installed")
WORDS = [*SMALL, "peft=qlora", "checkpoint.every_steps=2", "evaluation.every_steps=2", "evaluation.num_samples=2"]


def losses(folder: Path) -> dict[int, float]:
    lines = RunFolder(path=folder).read_metrics()
    return {line.step: line.values["loss"] for line in lines if "loss" in line.values}


def test_a_run_over_nf4_resumes_bit_for_bit_and_is_evaluated_and_exported(
    tmp_path: Path, finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("train", f"runs={tmp_path}", "name=whole", *WORDS)
    whole = tmp_path / "whole"
    assert "7 linear layers of the decoder in NF4" in capsys.readouterr().err
    assert json.loads((whole / "identity.json").read_text())["settings"]["peft"]["quantization"] == "nf4_double"

    resumed = tmp_path / "other" / "whole"
    shutil.copytree(whole, resumed)
    shutil.rmtree(resumed / "checkpoints" / "step-00000004")
    finetune("train", f"runs={resumed.parent}", "name=whole", *WORDS)
    assert losses(resumed) == losses(whole)
    trained = (folder / "checkpoints" / "step-00000004" / "trained.safetensors" for folder in (whole, resumed))
    assert len({path.read_bytes() for path in trained}) == 1

    finetune("evaluate", f"run={whole}", "evaluation.num_samples=2")
    for kind in ("adapter", "merged"):
        finetune("export", f"run={whole}", f"format={kind}")
        card = (whole / "export" / kind / "README.md").read_text()
        assert "linear layers of the decoder in NF4 with doubly quantised scales" in card
