"""Which way of checkpointing a run takes."""

import os
from collections.abc import Callable

from finetune.config.schema import RunConfig
from finetune.memory.card import Card
from finetune.memory.prediction import GIB, LADDER, Subject, generous_bound, longest_shape
from finetune.model.skeleton import ModelChoice
from finetune.settings import Checkpointing

# Below this share of what is free, the bound alone settles it, and no step is traced.
_EASY = 0.5


def subject_of(config: RunConfig) -> Subject:
    """Return the settings that decide how much memory a step takes."""
    return Subject(
        model=config.model,
        peft=config.peft,
        freeze=config.freeze,
        optimizer=config.optimizer,
        learning_rates=config.learning_rates,
        training=config.training,
    )


def choose_checkpointing(config: RunConfig, say: Callable[[str], None]) -> Checkpointing:
    """Return what is asked for; for auto, the fastest way whose step fits beside the weights, already in place.

    Args:
        say: Told what was chosen, and why.

    Raises:
        ValueError: If not even the leanest way fits.
    """
    asked = config.training.gradient_checkpointing
    if asked is not Checkpointing.auto:
        say(f"memory: training.gradient_checkpointing={asked.name}, as asked for")
        return asked
    if not isinstance(config.model, ModelChoice):
        say(f"memory: gradient_checkpointing=none: the step of a {type(config.model).__name__} cannot be foretold")
        return Checkpointing.none
    card = Card.here(sharing=int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    subject, shape = subject_of(config), longest_shape(config.training, config.data)
    bound = generous_bound(subject, shape)
    if bound < _EASY * card.free_for_tensors:
        say(f"memory: gradient_checkpointing=none: a step takes at most {bound / GIB:.1f} GiB of {card}")
        return Checkpointing.none
    for rung in LADDER:
        step = subject.trace(shape, rung, on_gpu=card.is_gpu)
        needed = card.taken(step.peak - step.weights)
        if card.fits(step.peak - step.weights):
            say(
                f"memory: gradient_checkpointing={rung.name}: a step of the longest examples takes {needed / GIB:.1f} "
                f"GiB beside the weights, of {card}"
            )
            return rung
    raise ValueError(
        f"a step takes {needed / GIB:.1f} GiB beside the weights even with gradient_checkpointing={rung.name}, and "
        f"there are {card.free / GIB:.1f}; lower training.micro_batch_size ({config.training.micro_batch_size}), "
        "data.max_text_tokens or model.image_size. `finetune plan` shows what fits"
    )
