"""`finetune plan`, and the way of checkpointing that a run chooses for itself."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from finetune import cli
from finetune.commands.memory import choose_checkpointing, subject_of
from finetune.config.parse import parse
from finetune.config.register import COMMANDS, own_fields, register
from finetune.config.schema import RunConfig
from finetune.memory.card import Card
from finetune.memory.prediction import LADDER, longest_shape
from finetune.model.choices import TINY_CHECKPOINT
from finetune.settings import Checkpointing

SMALL = [
    "model=tiny_random",
    "model.image_size=28",
    "model.vision_depth=1",
    "model.decoder_depth=4",
    "model.vision_width=32",
    "model.decoder_width=64",
    "training.global_batch_size=4",
    "training.micro_batch_size=4",
    "data.max_text_tokens=32",
]


@pytest.fixture
def config() -> Iterator[RunConfig]:
    """What `finetune train` would be given."""
    with initialize_config_module("conf", version_base="1.3"):
        register("train")
        composed = compose("train", SMALL)
        yield parse(composed, [field.name for field in own_fields(COMMANDS["train"])])


def pretend(monkeypatch: pytest.MonkeyPatch, free: float) -> None:
    card = Card(name="a small card", free=free, fragmentation=0.0, is_gpu=False)
    monkeypatch.setattr(Card, "here", classmethod(lambda cls, *, sharing=1: card))


def test_plan_prints_what_each_way_of_checkpointing_takes(
    finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("plan", "card_gib=24", *SMALL)
    printed = capsys.readouterr().out
    assert "4 examples of 4 image tokens and 32 text tokens, fp32" in printed
    assert "a card of 24 GiB: 23.00 GiB to use" in printed
    assert all(any(line.strip().startswith(rung.name) for line in printed.splitlines()) for rung in LADDER)
    assert "training.gradient_checkpointing=auto will choose none" in printed


def test_plan_of_a_published_checkpoint_reads_no_weight(
    finetune: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshot = tmp_path / "models--google--paligemma-3b-pt-224" / "snapshots" / ("1" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(snapshot.name)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        if (TINY_CHECKPOINT / name).is_file():
            shutil.copy(TINY_CHECKPOINT / name, snapshot / name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    finetune("plan", "card_gib=24", "model=paligemma-3b", "text_tokens=8", "training.gradient_checkpointing=all")
    side = json.loads((snapshot / "config.json").read_text())["vision_config"]["image_size"]
    printed = capsys.readouterr().out
    assert f"of {(side // 14) ** 2} image tokens and 8 text tokens" in printed
    assert "the fastest that fits is training.gradient_checkpointing=none; all is asked for" in printed


def test_a_card_smaller_than_the_weights_is_said_to_hold_nothing(
    finetune: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    finetune("plan", "card_gib=1.0001", *SMALL)
    assert "nothing fits: lower training.micro_batch_size" in capsys.readouterr().out


def test_a_length_below_two_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plan", "text_tokens=1"]) == cli.EXIT_MISTAKE
    assert "text_tokens must be at least 2" in capsys.readouterr().err


def test_auto_takes_the_first_way_that_fits(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, shape = subject_of(config), longest_shape(config.training, config.data)
    sizes = {rung: (step := subject.trace(shape, rung)).peak - step.weights for rung in LADDER[:3]}
    assert sizes[Checkpointing.half] < sizes[Checkpointing.quarter] < sizes[Checkpointing.none]
    pretend(monkeypatch, free=sizes[Checkpointing.half])
    said: list[str] = []
    assert choose_checkpointing(config, said.append) is Checkpointing.half
    assert "gradient_checkpointing=half" in said[0]
    assert "a small card" in said[0]


def test_where_nothing_fits_the_error_says_what_to_lower(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, free=1.0)
    with pytest.raises(ValueError, match=r"lower training\.micro_batch_size \(4\)"):
        choose_checkpointing(config, lambda line: None)


def test_what_is_asked_for_is_taken_without_a_look_at_the_card(
    config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, free=1.0)
    asked = replace(config, training=replace(config.training, gradient_checkpointing=Checkpointing.mlp))
    assert choose_checkpointing(asked, lambda line: None) is Checkpointing.mlp
