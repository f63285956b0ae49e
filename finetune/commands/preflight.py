"""What can be refused before torch is imported: steps, processes, rows, and folders that cannot be written."""

import math
import os
import sys
import tempfile
from pathlib import Path

from finetune.config.commands import InspectCommand
from finetune.config.naming import as_file_name
from finetune.config.schema import RunConfig
from finetune.data.mixture import Ingredient, Mixture, TrainingSet
from finetune.engine.distribution import Distribution
from finetune.engine.optimizer import Muon
from finetune.evaluate.metrics.names import check_best_metric
from finetune.export.portable import check_portable
from finetune.leaderboard.run_result import shares_rows
from finetune.model.choices import HubModel
from finetune.peft.lora import Lora, Quantization
from finetune.settings import Precision

# What a refusal calls the wish for an adapter, and what to do.
HAND_OVER = {"asked": "tracking.log_artifact=true", "advice": "set it to false, and export the run when it is done"}


def check_precision(config: RunConfig) -> None:
    """Refuse to compute with weights in fewer bits than the products are to have.

    Raises:
        ValueError: Naming both settings.
    """
    dtype = config.model.dtype
    if config.training.precision is Precision.fp32 and dtype not in (None, Precision.fp32):
        raise ValueError(
            f"training.precision=fp32 needs model.dtype=fp32, got {dtype.name}; "
            f"set training.precision={dtype.name} or model.dtype=fp32"
        )


def check_adapters(config: RunConfig) -> None:
    """Refuse an optimizer of whole matrices for adapters, before a model is read and a run's folder made.

    Raises:
        ValueError: Naming what to choose.
    """
    if isinstance(config.optimizer, Muon) and isinstance(config.peft, Lora):
        raise ValueError("optimizer=muon trains no adapters: choose optimizer=adamw, or peft=none")


def check_distribution(config: RunConfig) -> None:
    """Refuse what the run's other choices cannot be trained with on ranks that divide them.

    Raises:
        ValueError: Naming the settings and what to do.
    """
    distribution: Distribution | None = config.distributed
    if distribution is not None:
        quantization = getattr(config.peft, "quantization", Quantization.none)
        distribution.check(
            optimizer=config.optimizer,
            trainable_dtype=config.model.trainable_dtype,
            precision=config.training.precision,
            is_quantized=quantization is not Quantization.none,
            compiles_layers=config.training.compile_layers,
        )


def warn_of_shared_rows(config: RunConfig) -> None:
    """Say that what is evaluated is trained on, too: the original's last word where a server holds the test answers."""
    parts = config.recipe.parts.values() if isinstance(config.recipe, Mixture) else ()
    for dataset in [part.dataset or config.dataset for part in parts] or [config.dataset]:
        trained, scored = dataset.train_split, dataset.eval_split
        if config.training.max_steps != 0 and shares_rows(trained, scored):
            print(
                f"warning: the split {scored} is evaluated and, in {trained}, trained on: its scores are no result; "
                "for one, set train_split of the data set (the experiment's file says which split it is tuned on)",
                file=sys.stderr,
            )
            return


def check_training(config: RunConfig, training: tuple[Ingredient, ...], evaluation: tuple[Ingredient, ...]) -> None:
    """Refuse a run that has no step to train in, windows that its processes cannot share, or that could not end well.

    Raises:
        ValueError: Naming the setting.
    """
    if config.evaluation.best_metric is not None:
        check_best_metric(config.evaluation.best_metric, {one.name: one.recipe for one in evaluation})
    if config.tracking.wants_adapter:
        check_portable(config.peft, **HAND_OVER)
    training_set = TrainingSet(ingredients=training, seed=config.seed)
    config.schedule.check(steps_of(config, len(training_set)))
    _check_windows(config, int(os.environ.get("WORLD_SIZE", "1")))
    # The hub would have to be asked, which loading does as well.
    if config.data.row_tokens is not None and not isinstance(config.model, HubModel):
        config.data.check_rows(config.model.read_inputs().num_image_tokens)


def steps_of(config: RunConfig, epoch_length: int) -> int:
    """Return the run's optimizer steps; a last window that is begun is finished."""
    training = config.training
    if training.max_steps is not None:
        return training.max_steps
    assert training.epochs is not None, "the settings hold exactly one of the two"
    return math.ceil(training.epochs * epoch_length / training.global_batch_size)


def page_of(config: RunConfig, command: InspectCommand) -> Path:
    """Return where the page of `finetune inspect` goes."""
    name = f"inspect-{config.name}-{as_file_name(command.split or 'training')}.html"
    return Path(command.to) if command.to is not None else Path(config.runs) / name


def require_writable(folder: Path, setting: str) -> None:
    """Make a folder, and refuse it where nothing can be written.

    Raises:
        ValueError: Naming the setting that says where it is.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{setting}: nothing can be written to {folder}: {error.strerror}") from error


def require_writable_file(path: Path, setting: str) -> None:
    """Make a file's folder, and refuse a file that could not be written. Raises as `require_writable`."""
    if path.is_dir():
        raise ValueError(f"{setting}: {path} is a folder; name a file")
    require_writable(path.parent, setting)


def _check_windows(config: RunConfig, world_size: int) -> None:
    training = config.training
    if training.global_batch_size % (training.micro_batch_size * world_size):
        raise ValueError(
            f"training.global_batch_size={training.global_batch_size} must be a multiple of "
            f"training.micro_batch_size={training.micro_batch_size} times {world_size} processes"
        )
