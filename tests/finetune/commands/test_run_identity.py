"""Every setting either may change in a run or is refused by name, and a person may let it differ."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module

from finetune.commands.run_identity import (
    IDENTITY_FILE,
    immutable_settings,
    override_notes,
    require_resumable,
    require_same_settings,
)
from finetune.config.parse import parse
from finetune.config.plain import plain
from finetune.config.register import register
from finetune.config.schema import RunConfig
from finetune.engine.identity import Identity, dotted_settings, overridden, write_identity

# Where, how fast, on how many processes, and how closely watched.
MUTABLE = [
    "name", "runs", "resume", "plugins", "tracking", "evaluation", "checkpoint", "self_test", "distributed",
    "data.num_workers", "data.max_skips", "data.row_tokens", "data.pixel_cache", "data.feature_cache",
    "model.revision",
    "training.micro_batch_size", "training.gradient_checkpointing", "training.compile_layers",
    "training.log_every_steps",
]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def hydra() -> Iterator[None]:
    with initialize_config_module("conf", version_base="1.3"):
        yield


def config_of(*words: str) -> RunConfig:
    register("train")
    return parse(compose("train", ["name=x", *words]))


@pytest.fixture(scope="module")
def config(hydra: None) -> RunConfig:
    return config_of()


def changed(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the settings with another value for one of them."""
    copied = copy.deepcopy(settings)
    section, *rest = name.split(".")
    place = copied
    for part in rest:
        place, section = place[section], part
    place[section] = "another"
    return copied


def test_what_is_not_said_to_be_free_is_kept(config: RunConfig) -> None:
    kept = set(dotted_settings(Identity(settings=immutable_settings(config))))
    everything = set(dotted_settings(Identity(settings=plain(config))))
    free = {name for name in everything if any(f"{name}.".startswith(f"{one}.") for one in MUTABLE)}
    assert everything - kept == free | {"recipe.mask_codec"} & everything
    assert len(kept) > 40


def test_each_kept_setting_is_refused_by_name_and_may_be_allowed(config: RunConfig) -> None:
    settings = immutable_settings(config)
    recorded = Identity(settings=settings)
    for name in dotted_settings(recorded):
        current = Identity(settings=changed(settings, name))
        with pytest.raises(ValueError, match="was started with other settings") as refusal:
            require_same_settings(recorded, current, Path("runs/x"))
        assert f"  {name}: was " in str(refusal.value)
        require_same_settings(recorded, current, Path("runs/x"), [name])


def test_a_name_that_nothing_has_cannot_be_allowed(tmp_path: Path) -> None:
    for words in (["resume.allow=[optimizer.learning_rat]"], ["resume.allow=[training.micro_batch_size]"]):
        with pytest.raises(ValueError, match=r"resume\.allow: .* is no setting that a run keeps"):
            require_resumable(config_of(f"runs={tmp_path}", *words))
    require_resumable(config_of(f"runs={tmp_path}", "resume.allow=[optimizer.learning_rate,data]"))


def test_a_folder_of_another_run_is_refused_until_the_difference_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    write_identity(tmp_path / "x" / IDENTITY_FILE, Identity(settings=immutable_settings(config_of(f"runs={tmp_path}"))))
    other = [f"runs={tmp_path}", "seed=3", "optimizer.learning_rate=0.5"]
    with pytest.raises(ValueError, match="seed: was 0, is now 3"):
        require_resumable(config_of(*other, "resume.allow=[optimizer]"))
    require_resumable(config_of(*other, "resume.allow=[optimizer,seed]"))
    with pytest.raises(ValueError, match=r"resume\.mode=never, but .* holds a run already"):
        require_resumable(config_of(*other, "resume.mode=never"))


def test_a_change_of_the_order_of_samples_says_what_that_means() -> None:
    before = Identity(settings={"seed": 0, "optimizer": {"learning_rate": 1.0}})
    faster = overridden(before, Identity(settings={"seed": 0, "optimizer": {"learning_rate": 2.0}}), step=10)
    assert override_notes(faster) == [
        "changed after step 10 (resume.allow): optimizer.learning_rate: was 1.0, is now 2.0"
    ]
    reordered = overridden(faster, Identity(settings={"seed": 1, "optimizer": {"learning_rate": 2.0}}), step=20)
    notes = override_notes(reordered)
    assert notes[1] == "changed after step 20 (resume.allow): seed: was 0, is now 1"
    assert "some come twice or not at all" in notes[2]
