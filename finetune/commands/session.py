"""A loaded model with everything that turns samples into what it reads: what all commands but `inspect` begin with."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from finetune.commands.mask_codec import check_downloaded_codec
from finetune.commands.run_identity import require_same_base, run_folder
from finetune.config.schema import RunConfig
from finetune.data.encode import SampleEncoder
from finetune.data.loader import PrefixLoader
from finetune.data.mixture import Ingredient
from finetune.data.packing import Batch
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.distributed import Ranks
from finetune.evaluate.generate import generate
from finetune.evaluate.runner import EvaluationPart, Evaluator
from finetune.model.choices import HubModel
from finetune.model.load import LoadedModel
from finetune.model.trained import load_trained_state
from finetune.reporting.progress import Progress

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One process's share of a command."""

    config: RunConfig
    ranks: Ranks
    loaded: LoadedModel
    encoder: SampleEncoder

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return run_folder(self.config)


def checkpoint_store(config: RunConfig, warn: Callable[[str], None]) -> CheckpointStore:
    """Return the run's checkpoints."""
    return CheckpointStore(run_folder(config) / CHECKPOINTS, keep_last=config.checkpoint.keep_last, warn=warn)


def open_session(config: RunConfig, *, is_adapted: bool) -> Session:
    """Load the model onto this process's device.

    Args:
        is_adapted: Whether to set it up as the run trains it (adapters, frozen parts, formats).
    """
    ranks = Ranks(config.training.precision)
    # Adapters are drawn from it; the order of samples and dropout have seeds of their own.
    torch.manual_seed(config.seed)
    loaded: LoadedModel = config.model.load()
    if isinstance(config.model, HubModel):
        # Of the others, the folder that weights lie in is known without loading them, and was looked at.
        check_downloaded_codec(config, loaded.processor_source)
    if is_adapted:
        config.peft.apply(loaded.model, config.freeze, config.model.trainable_dtype)
    loaded.model.to(ranks.device)
    return Session(config=config, ranks=ranks, loaded=loaded, encoder=encoder_of(config, loaded))


def encoder_of(config: RunConfig, loaded: LoadedModel) -> SampleEncoder:
    """Return what turns samples into this model's ids and pixels."""
    return SampleEncoder(
        tokenizer=loaded.tokenizer,
        image_size=loaded.image_size,
        num_image_tokens=loaded.num_image_tokens,
        data=config.data,
    )


def load_weights(session: Session, weights: str) -> int:
    """Put a checkpoint's weights into the model, and return its step.

    Args:
        weights: latest, best, or a checkpoint's name such as step-00001200.

    Raises:
        ValueError: If the run has no such checkpoint, or was trained on another base model.
    """
    require_same_base(session.config, session.loaded.base_name, session.loaded.base_revision)
    store = checkpoint_store(session.config, _warn)
    step = _step_of(store, weights)
    load_trained_state(session.loaded.model, store.load(step).trained)
    return step


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _step_of(store: CheckpointStore, weights: str) -> int:
    if weights == "latest":
        step = store.newest()
    elif weights == "best":
        step = store.best()
    elif weights.removeprefix("step-").isdecimal():
        step = int(weights.removeprefix("step-"))
    else:
        raise ValueError(f"weights must be latest, best or a checkpoint's name such as step-00001200, got {weights}")
    if step is None:
        reason = "was trained without evaluation.best_metric" if weights == "best" else "has saved nothing yet"
        raise ValueError(f"weights={weights}: the run in {store.folder.parent} {reason}")
    return step


def evaluation_parts(session: Session, ingredients: tuple[Ingredient, ...]) -> list[EvaluationPart]:
    """Return this rank's share of the samples to evaluate."""
    config, ranks = session.config, session.ranks
    return [
        EvaluationPart(
            name=ingredient.name,
            recipe=ingredient.recipe,
            batches=PrefixLoader(
                ingredient.source,
                ingredient.recipe,
                session.encoder,
                batch_size=config.evaluation.batch_size,
                num_samples=config.evaluation.num_samples,
                rank=ranks.rank,
                world_size=ranks.world_size,
                num_workers=config.data.num_workers,
            ),
        )
        for ingredient in ingredients
    ]


def evaluator_of(session: Session, progress: Progress, should_stop: Callable[[], bool] = lambda: False) -> Evaluator:
    """Return what turns prefixes into text with the session's model."""
    evaluation, tokenizer = session.config.evaluation, session.loaded.tokenizer

    def generate_ids(batch: Batch) -> list[list[int]]:
        with session.ranks.autocast():
            return generate(
                session.loaded.model,
                batch.to(session.ranks.device),
                max_new_tokens=evaluation.max_new_tokens,
                num_beams=evaluation.num_beams,
                eos_id=tokenizer.eos_id,
                vocabulary_size=tokenizer.vocabulary_size,
            )

    return Evaluator(
        generate_ids=generate_ids,
        decode_ids=tokenizer.decode,
        ranks=session.ranks,
        progress=progress,
        gallery_size=evaluation.gallery_size,
        should_stop=should_stop,
    )
