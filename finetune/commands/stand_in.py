"""The run that `finetune chaos` breaks in place of the user's: the same in all that fits into seconds on a CPU."""

from dataclasses import fields, replace
from typing import Any

from finetune.chaos.laboratory import Trial
from finetune.config.schema import RunConfig
from finetune.engine.distribution import Mode
from finetune.model.choices import TinyModel
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.reporting.trackers import NoTracker
from finetune.settings import Checkpointing, CheckpointSettings, PartFlags, Precision, ResumeMode

GLOBAL_BATCH_SIZE = 4
_LEAST_DROPOUT = 0.1
_EVALUATED = 2
_NEW_TOKENS = 4
FULL = "full"


def stand_in(config: RunConfig) -> RunConfig:
    """Return the user's run on the tiny model, with small batches, few steps, no tracker, no caches and no workers."""
    training, model = config.training, config.model
    on_cpu = Precision.fp32 if training.precision is Precision.fp16 else training.precision
    rung = training.gradient_checkpointing
    return replace(
        config,
        model=TinyModel(
            image_size=28,
            vision_width=32,
            vision_depth=1,
            decoder_width=64,
            decoder_depth=1,
            dtype=_on_cpu(model.dtype),
            trainable_dtype=_on_cpu(model.trainable_dtype),
        ),
        tracking=NoTracker(),
        schedule=_shortened(config.schedule),
        data=replace(config.data, num_workers=0, pixel_cache=None, feature_cache=None),
        training=replace(
            training,
            global_batch_size=GLOBAL_BATCH_SIZE,
            micro_batch_size=2,
            max_steps=8,
            epochs=None,
            precision=on_cpu,
            # The choice between them traces a step, which takes longer than this run.
            gradient_checkpointing=Checkpointing.none if rung is Checkpointing.auto else rung,
            log_every_steps=1,
        ),
        evaluation=replace(
            config.evaluation,
            before_training=False,
            num_samples=_EVALUATED,
            batch_size=_EVALUATED,
            max_new_tokens=_NEW_TOKENS,
            best_metric=None,
            patience=None,
            gallery_size=0,
        ),
        self_test=replace(config.self_test, enabled=False),
        # What counts restarts would take the kills of a run's first seconds for a run that cannot start.
        resume=replace(config.resume, mode=ResumeMode.auto, max_restarts=None),
    )


def of_trial(config: RunConfig, trial: Trial, runs: str) -> RunConfig:
    """Return one trial's run, of the stand-in."""
    dropout = 0.0 if trial.is_smooth else max(_LEAST_DROPOUT, config.training.residual_dropout)
    return replace(
        config,
        name=trial.name,
        runs=runs,
        **_trained_by(config, trial),
        training=replace(
            config.training,
            max_steps=trial.num_steps,
            micro_batch_size=trial.micro_batch_size,
            residual_dropout=dropout,
        ),
        evaluation=replace(config.evaluation, every_steps=trial.evaluate_every),
        checkpoint=_saved(config.checkpoint, trial),
        distributed=_shared(config.distributed, trial),
    )


def methods(config: RunConfig) -> tuple[str, ...]:
    """Return the ways of training to test: the user's own, and of LoRA and full fine-tuning the other one."""
    return (own_method(config), "lora" if own_method(config) == FULL else FULL)


def own_method(config: RunConfig) -> str:
    """Name the user's way of training."""
    if isinstance(config.peft, FullFineTuning):
        return FULL
    is_quantized = isinstance(config.peft, Lora) and config.peft.quantization.name != "none"
    return "qlora" if is_quantized else "lora" if isinstance(config.peft, Lora) else type(config.peft).__name__.lower()


def replacements(config: RunConfig) -> list[str]:
    """Say what is not the user's in what follows."""
    model = config.model
    name = getattr(model, "full_name", getattr(model, "path", type(model).__name__))
    return [
        f"a tiny model with random weights stands in for {name}",
        f"training.global_batch_size={GLOBAL_BATCH_SIZE}, few steps, residual dropout of {_LEAST_DROPOUT} at least, "
        f"{_EVALUATED} samples in an evaluation; no tracker, no cache, no loader process; on the CPU",
        "yours: data set, recipe, adapters, frozen parts, optimizer, schedule, precision, ranks' way, seed",
    ]


def _trained_by(config: RunConfig, trial: Trial) -> dict[str, Any]:
    """Return the settings that make the method: the user's adapters or weights, or the other way of training."""
    if trial.method == own_method(config):
        return {"peft": _smooth(config.peft, trial)}
    if trial.method == FULL:
        return {"peft": FullFineTuning(), "freeze": PartFlags()}
    return {"peft": _smooth(Lora(), trial), "freeze": PartFlags()}


def _smooth(peft: Any, trial: Trial) -> Any:
    """Set the adapters' own dropout."""
    if "dropout" not in {field.name for field in fields(peft)}:
        return peft
    return replace(peft, dropout=0.0 if trial.is_smooth else max(_LEAST_DROPOUT, peft.dropout))


def _saved(checkpoint: CheckpointSettings, trial: Trial) -> CheckpointSettings:
    """Save as the user does; where that depends on the size, whole weights beside the training and adapters in it."""
    asynchronous = trial.method == FULL if checkpoint.asynchronous is None else checkpoint.asynchronous
    return replace(checkpoint, every_steps=trial.save_every, keep_last=2, asynchronous=asynchronous)


def _shared(distributed: Any, trial: Trial) -> Any:
    """Wait for other ranks as long as the trial says, and share the run as the user does where that is possible."""
    mode = Mode.ddp if distributed.mode is Mode.single else distributed.mode
    if trial.rank_timeout_s is None:
        return replace(distributed, mode=mode)
    return replace(
        distributed, mode=mode, step_timeout_seconds=trial.rank_timeout_s, wait_timeout_seconds=trial.rank_timeout_s
    )


def _shortened(schedule: Any) -> Any:
    """Turn a warm-up of many steps into one that leaves steps to train in."""
    steps = getattr(schedule, "warmup_steps", None)
    return replace(schedule, warmup_steps=min(steps, 2)) if steps is not None else schedule


def _on_cpu(dtype: Precision | None) -> Precision:
    return Precision.fp32 if dtype in (None, Precision.fp16) else dtype
