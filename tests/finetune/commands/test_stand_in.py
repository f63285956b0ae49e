"""What stands in for the user's run keeps all of it that fits into seconds on a CPU."""

import pytest
from hydra import compose, initialize_config_module

from finetune.chaos.laboratory import Trial
from finetune.commands.stand_in import methods, of_trial, replacements, stand_in
from finetune.config.parse import parse
from finetune.config.register import register
from finetune.config.schema import RunConfig
from finetune.engine.optimizer import Adafactor
from finetune.model.choices import TinyModel
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.reporting.trackers import NoTracker
from finetune.settings import Checkpointing, Precision

TRIAL = Trial(name="killed-0", method="lora", num_steps=12)


def typed(*words: str) -> RunConfig:
    register("train")
    with initialize_config_module("conf", version_base="1.3"):
        return parse(compose("train", list(words)))


def test_the_users_choices_stay_and_the_model_goes() -> None:
    words = ["model=paligemma-3b", "optimizer=adafactor", "peft.rank=32", "tracking=tensorboard", "seed=3"]
    user = typed(*words, "data.max_text_tokens=77", "data.pixel_cache=/somewhere", "training.normalization=token")
    run = stand_in(user)
    assert isinstance(run.model, TinyModel)
    assert isinstance(run.tracking, NoTracker)
    assert isinstance(run.optimizer, Adafactor)
    assert (run.peft.rank, run.seed, run.data.max_text_tokens) == (32, 3, 77)
    assert run.training.normalization is user.training.normalization
    assert run.data.pixel_cache is None
    assert "google/paligemma-3b-pt-224" in replacements(user)[0]


def test_dropout_is_in_force_unless_the_comparison_is_to_rounding() -> None:
    run = stand_in(typed("peft.dropout=0.3"))
    trials = (Trial(name="x", method="lora", is_smooth=is_smooth) for is_smooth in (False, True))
    rough, smooth = (of_trial(run, trial, "runs") for trial in trials)
    assert (rough.training.residual_dropout, rough.peft.dropout) == (0.1, 0.3)
    assert (smooth.training.residual_dropout, smooth.peft.dropout) == (0.0, 0.0)


@pytest.mark.parametrize(("words", "expected"), [((), ("lora", "full")), (("peft=none",), ("full", "lora"))])
def test_both_ways_of_training_are_tried_the_users_first(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert methods(stand_in(typed(*words))) == expected


def test_a_trial_trains_by_its_method_and_saves_as_it_says() -> None:
    run = stand_in(typed())
    adapters, whole = (of_trial(run, Trial(name="x", method=method), "runs") for method in ("lora", "full"))
    assert isinstance(adapters.peft, Lora)
    assert isinstance(whole.peft, FullFineTuning)
    assert (adapters.checkpoint.asynchronous, whole.checkpoint.asynchronous) == (False, True)
    assert (adapters.name, adapters.runs, adapters.training.max_steps) == ("x", "runs", 8)
    assert of_trial(run, TRIAL, "runs").training.max_steps == 12


def test_what_a_cpu_cannot_do_is_replaced() -> None:
    run = stand_in(
        typed("training.precision=fp16", "schedule=cosine", "schedule.warmup_ratio=null", "schedule.warmup_steps=500")
    )
    assert run.training.precision is Precision.fp32
    assert run.schedule.warmup_steps == 2
    assert run.training.gradient_checkpointing is Checkpointing.none


def test_a_rank_that_is_silent_is_waited_for_as_long_as_the_trial_says() -> None:
    run = of_trial(stand_in(typed("distributed=single")), Trial(name="x", method="lora", rank_timeout_s=8.0), "runs")
    assert run.distributed.step_timeout_seconds == 8.0
    assert run.distributed.mode.name == "ddp"
