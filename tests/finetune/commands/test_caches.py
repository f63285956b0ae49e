"""data.pixel_cache and data.feature_cache, from the command line to the losses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune import cli
from finetune.reporting.run_folder import RunFolder

from .conftest import SMALL

Finetune = Callable[..., None]


def _losses(folder: Path) -> list[float]:
    lines = RunFolder(path=folder).read_metrics()
    losses = [line.values["loss"] for line in lines if "loss" in line.values]
    assert len(losses) == 4
    return losses


def _shards(cache: Path, kind: str) -> list[Path]:
    return sorted(cache.glob(f"{kind}-*/*.safetensors"))


def test_a_run_that_reads_its_pixels_from_a_cache_has_the_same_losses(
    tmp_path: Path, finetune: Finetune, trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    for name in ("filling", "reading"):
        finetune("train", f"runs={tmp_path}", f"name={name}", f"data.pixel_cache={cache}", *SMALL)
        assert _losses(tmp_path / name) == _losses(trained_run)
    told = capsys.readouterr()
    # Sixteen of 24 scenes are drawn in four steps, and six are evaluated.
    assert "data.pixel_cache: up to 22 images x 2,352 bytes" in told.out + told.err


def test_a_frozen_encoders_states_are_computed_once_and_serve_training_evaluation_and_predictions(
    tmp_path: Path, finetune: Finetune, trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = f"data.feature_cache={tmp_path / 'cache'}"
    finetune("train", f"runs={tmp_path}", "name=cached", "checkpoint.every_steps=2", cache, *SMALL)
    told = capsys.readouterr()
    assert "data.feature_cache: 22 images computed, 1 at once; 22 there" in told.out + told.err
    assert _losses(tmp_path / "cached") == pytest.approx(_losses(trained_run), rel=1e-6)
    first = _shards(tmp_path / "cache", "features")
    assert first
    run = f"run={tmp_path / 'cached'}"
    finetune("evaluate", run)
    finetune("predict", run, f"to={tmp_path / 'with-cache.jsonl'}")
    assert _shards(tmp_path / "cache", "features") == first
    finetune("predict", run, "data.feature_cache=null", f"to={tmp_path / 'without.jsonl'}")
    cached, plain = ((tmp_path / f"{name}.jsonl").read_text() for name in ("with-cache", "without"))
    # Their thumbnails lie in folders with the files' own names.
    assert cached.replace("with-cache/", "without/") == plain


def test_a_run_with_a_feature_cache_goes_on_bit_for_bit_even_where_the_cache_is_lost(
    tmp_path: Path, finetune: Finetune
) -> None:
    endless = ["schedule=constant", "schedule.warmup_ratio=null", "schedule.warmup_steps=1"]
    words = ["train", f"runs={tmp_path}", *SMALL, *endless, "self_test.enabled=false"]
    finetune(*words, "name=whole", f"data.feature_cache={tmp_path / 'a'}")
    finetune(*words, "name=parts", f"data.feature_cache={tmp_path / 'b'}", "training.max_steps=2")
    for path in _shards(tmp_path / "b", "features"):
        path.unlink()
    finetune(*words, "name=parts", f"data.feature_cache={tmp_path / 'b'}")
    assert _losses(tmp_path / "parts") == _losses(tmp_path / "whole")


@pytest.mark.parametrize("words", [["peft=none"], ["peft.image_encoder=true"], ["peft.fully_trained=[image_encoder]"]])
def test_an_encoder_that_trains_has_no_feature_cache(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / "cache"
    line = ["train", f"runs={tmp_path}", "name=x", f"data.feature_cache={cache}", *SMALL, *words]
    assert cli.run(line) == 2
    assert "data.feature_cache keeps what a frozen image encoder says" in capsys.readouterr().err
    assert not cache.exists()
