"""A loaded model with everything that turns samples into what it reads: what all commands but `inspect` begin with."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from finetune.commands.mask_codec import check_downloaded_codec
from finetune.commands.run_identity import require_same_base, run_folder
from finetune.config.schema import RunConfig
from finetune.data.encode import SampleEncoder
from finetune.data.mixture import Ingredient
from finetune.data.prefixes import PrefixLoader, pack_prefixes
from finetune.data.ready_images import pixel_store
from finetune.data.shards import ShardStore
from finetune.data.worker_count import worker_count
from finetune.engine.checkpoint import CheckpointStore
from finetune.engine.distributed import Ranks
from finetune.evaluate.answers import EvaluationPart, Evaluator
from finetune.evaluate.decoding_rules import DecodingRules
from finetune.evaluate.generate import BatchGenerator
from finetune.model.choices import HubModel
from finetune.model.load import LoadedModel
from finetune.model.nf4 import nf4_notes
from finetune.model.trained import load_trained_state
from finetune.reporting.progress import Progress
from finetune.settings import DataSettings

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
    ranks = Ranks(config.training.precision, config.distributed)
    # Adapters are drawn from it; the order of samples and dropout have seeds of their own.
    torch.manual_seed(config.seed)
    loaded: LoadedModel = config.model.load()
    if isinstance(config.model, HubModel):
        # Of the others, the folder that weights lie in is known without loading them, and was looked at.
        check_downloaded_codec(config, loaded.processor_source)
    if is_adapted:
        config.peft.apply(loaded.model, config.freeze, config.model.trainable_dtype)
        loaded = replace(loaded, notes=(*loaded.notes, *nf4_notes(loaded.model)))
    loaded.model.to(ranks.device)
    return Session(config=config, ranks=ranks, loaded=loaded, encoder=encoder_of(config, loaded))


def encoder_of(config: RunConfig, loaded: LoadedModel) -> SampleEncoder:
    """Return what turns samples into this model's ids and pixels."""
    return SampleEncoder(
        tokenizer=loaded.tokenizer,
        image_size=loaded.image_size,
        num_image_tokens=loaded.num_image_tokens,
        data=config.data,
        pixel_cache=_pixel_cache(config.data, loaded.image_size),
    )


def _pixel_cache(data: DataSettings, image_size: int) -> ShardStore | None:
    return None if data.pixel_cache is None else pixel_store(Path(data.pixel_cache), image_size, data)


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
    total = sum(len(ingredient.source) for ingredient in ingredients)
    num_samples = -(-min(total, config.evaluation.num_samples or total) // ranks.world_size)
    num_workers = worker_count(session.encoder, ingredients, num_samples=num_samples, device=ranks.device).num_workers
    return [
        EvaluationPart(
            name=ingredient.name,
            recipe=ingredient.recipe,
            prefixes=PrefixLoader(
                ingredient.source,
                ingredient.recipe,
                session.encoder,
                num_samples=config.evaluation.num_samples,
                rank=ranks.rank,
                world_size=ranks.world_size,
                num_workers=num_workers,
            ),
        )
        for ingredient in ingredients
    ]


def evaluator_of(session: Session, progress: Progress, should_stop: Callable[[], bool] = lambda: False) -> Evaluator:
    """Return what turns prefixes into text with the session's model."""
    evaluation, tokenizer = session.config.evaluation, session.loaded.tokenizer
    generator = BatchGenerator(
        model=session.loaded.model,
        rules=DecodingRules(
            max_new_tokens=evaluation.max_new_tokens,
            num_beams=evaluation.num_beams,
            eos_id=tokenizer.eos_id,
            vocabulary_size=tokenizer.vocabulary_size,
        ),
        pack=partial(pack_prefixes, image_token_id=tokenizer.image_token_id),
        batch_size=evaluation.batch_size,
        device=session.ranks.device,
        computing=session.ranks.autocast,
        weights=session.ranks.whole_weights,
    )
    return Evaluator(
        generate_ids=generator.generate,
        decode_ids=tokenizer.decode,
        round_size=evaluation.batch_size,
        ranks=session.ranks,
        progress=progress,
        gallery_size=evaluation.gallery_size,
        should_stop=should_stop,
    )
