"""Every setting of a run either may change when it is resumed, and is listed here, or is refused by its name."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module

from finetune.commands.run_identity import immutable_settings, require_same_settings
from finetune.config.parse import parse
from finetune.config.plain import plain
from finetune.config.register import register
from finetune.config.schema import RunConfig
from finetune.engine.identity import Identity

MUTABLE_SECTIONS = {
    "name", "runs", "resume", "plugins", "tracking", "evaluation", "checkpoint", "self_test", "distributed",
}  # fmt: skip
MUTABLE = {
    "data.num_workers", "data.max_skips", "data.row_tokens", "data.pixel_cache", "data.feature_cache",
    "training.micro_batch_size", "training.gradient_checkpointing", "training.compile_layers",
    "training.log_every_steps", "model.revision",
}  # fmt: skip
# Where the schedule has no end, a run can be made longer.
LENGTH = {"training.max_steps", "training.epochs"}


@pytest.fixture(scope="module", params=["cosine", "constant"])
def config(request: pytest.FixtureRequest) -> RunConfig:
    register("train")
    with initialize_config_module("conf", version_base="1.3"):
        config = parse(compose("train", [f"schedule={request.param}", "name=first"]))
    assert dataclasses.is_dataclass(config)
    return config


def test_a_setting_that_changes_what_is_computed_is_refused_by_name_and_no_other(config: RunConfig) -> None:
    recorded = immutable_settings(config)
    is_endless = not config.schedule.depends_on_total_steps
    names = [name for name, _ in _leaves(plain(config))]
    assert len(names) > 80
    held = dict(_leaves(recorded))
    for name in names:
        may_change = name.partition(".")[0] in MUTABLE_SECTIONS or name in MUTABLE or (is_endless and name in LENGTH)
        assert (name not in held) == may_change, name
        if not may_change:
            with pytest.raises(ValueError, match="was started with other settings") as refusal:
                require_same_settings(
                    Identity(settings=recorded), Identity(settings=_changed(recorded, name)), Path("run")
                )
            (line,) = [line for line in str(refusal.value).splitlines() if line.startswith(f"  {name}: was ")]
            assert line.endswith('is now "another"')


def test_the_same_settings_are_the_same_run(config: RunConfig) -> None:
    identity = Identity(settings=json.loads(json.dumps(immutable_settings(config))))
    require_same_settings(identity, Identity(settings=immutable_settings(config)), Path("run"))


def test_a_setting_that_is_gone_or_new_is_a_change(config: RunConfig) -> None:
    recorded = immutable_settings(config)
    without = {name: value for name, value in recorded.items() if name != "seed"}
    for before, now in ((recorded, without), (without, recorded)):
        with pytest.raises(ValueError, match=r"seed: was .*is now"):
            require_same_settings(Identity(settings=before), Identity(settings=now), Path("run"))


def _leaves(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _changed(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    first, _, rest = name.partition(".")
    return {**settings, first: _changed(settings[first], rest) if rest else "another"}
