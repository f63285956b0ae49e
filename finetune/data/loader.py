"""Batches in the order of the run, the same for any number of ranks, micro-batches and loader processes.

Step s owns positions [s * G, (s + 1) * G) of the training stream, G = global_batch_size. With G = 8, two ranks and
micro-batches of two:

    position      0 1   2 3   4 5   6 7
    rank          0     0     1     1
    micro-batch   0     1     0     1

What is at a position depends on nothing else, so resuming takes the number of the step and no stored loader.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from finetune.data.encode import Encoded, SampleEncoder
from finetune.data.mixture import Draw, TrainingSet
from finetune.data.order import rng_for
from finetune.data.packing import Batch, pack
from finetune.data.pinning import pinned
from finetune.data.skips import Skip, allow
from finetune.data.workers import load_in_order
from finetune.types import BadSampleError

__all__ = ["Skip", "TrainingLoader", "Window"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One rank's part of one optimizer step.

    Args:
        epoch: The epoch that the step starts in.
        batches: The micro-batches, equally many on every rank and in every step.
        skips: Samples of this rank's part that stand in as black images of weight 0.
        notes: Counts of what was done to samples on purpose, such as {"boxes over the limit": 3}.
    """

    step: int
    epoch: int
    batches: tuple[Batch, ...]
    skips: tuple[Skip, ...]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrainingLoader:
    """The windows of a run, from any step to any other.

    Args:
        seed: Seeds every random choice of a sample, together with its epoch and its id.
        shares_images: Whether an image, and a prefix with its images, is computed once for all examples of a
            micro-batch that have it in common. Exact, unless something is dropped at random on the way.
        pins_memory: Whether batches lie where a GPU fetches them by itself.
        num_workers: Loader processes; 0 loads in this one.

    Raises:
        ValueError: If the window cannot be divided evenly.
    """

    training_set: TrainingSet
    encoder: SampleEncoder
    _: KW_ONLY
    seed: int
    global_batch_size: int
    micro_batch_size: int
    rank: int = 0
    world_size: int = 1
    shares_images: bool = False
    pins_memory: bool = False
    num_workers: int = 0

    def __post_init__(self) -> None:
        if self.global_batch_size % (self.micro_batch_size * self.world_size):
            raise ValueError(
                f"training.global_batch_size={self.global_batch_size} must be a multiple of training.micro_batch_size="
                f"{self.micro_batch_size} times {self.world_size} processes"
            )

    def windows(self, start_step: int, stop_step: int) -> Iterator[Window]:
        """Yield the windows of steps start_step .. stop_step - 1.

        Raises:
            BadSampleError: With data.on_bad_sample=stop, when the step of the first bad sample is reached.
        """
        num_micro = self.global_batch_size // (self.micro_batch_size * self.world_size)
        keys = range(start_step * num_micro, stop_step * num_micro)
        parts_in_order = load_in_order(
            _MicroBatches(loader=self, num_micro=num_micro),
            keys,
            self.num_workers,
            pinned if self.pins_memory else None,
        )
        with closing(parts_in_order) as loaded:
            for step in range(start_step, stop_step):
                parts = [next(loaded) for _ in range(num_micro)]
                skips = tuple(skip for part in parts for skip in part.skips)
                allow(skips, self.encoder.data.on_bad_sample)
                yield Window(
                    step=step,
                    epoch=step * self.global_batch_size // len(self.training_set),
                    batches=tuple(part.batch for part in parts),
                    skips=skips,
                    notes=_sum(part.notes for part in parts),
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class _MicroBatch:
    batch: Batch
    skips: tuple[Skip, ...]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MicroBatches:
    """Random access to one rank's micro-batches, by step * num_micro + number in the step."""

    loader: TrainingLoader
    num_micro: int

    def __getitem__(self, key: int) -> _MicroBatch:
        loader = self.loader
        step, number = divmod(key, self.num_micro)
        first_of_rank = step * loader.global_batch_size + loader.rank * self.num_micro * loader.micro_batch_size
        first = first_of_rank + number * loader.micro_batch_size
        draws = [loader.training_set.draw(position) for position in range(first, first + loader.micro_batch_size)]
        outcomes = [_encode_draw(draw, loader) for draw in draws]
        encoded = [loader.encoder.stand_in(one.sample_id) if isinstance(one, Skip) else one for one in outcomes]
        batch = pack(
            [one.tokenized for one in encoded],
            torch.cat([one.pixels_u8 for one in encoded]),
            image_states=_image_states(encoded),
            image_token_id=loader.encoder.tokenizer.image_token_id,
            image_keys=[key for one in encoded for key in one.image_keys] if loader.shares_images else None,
            shares_prefixes=loader.shares_images,
            row_tokens=loader.encoder.data.row_tokens,
            example_weights=[0.0 if isinstance(one, Skip) else 1.0 for one in outcomes],
        )
        skips = tuple(one for one in outcomes if isinstance(one, Skip))
        return _MicroBatch(batch=batch, skips=skips, notes=_sum(one.example.notes for one in encoded))


def _image_states(encoded: Sequence[Encoded]) -> Float[Tensor, "states image_tokens channels"] | None:
    """Put together what the feature cache gave; either all examples of a run have it or none."""
    states = [one.image_states for one in encoded if one.image_states is not None]
    return torch.cat(states) if states else None


def _encode_draw(draw: Draw, loader: TrainingLoader) -> Encoded | Skip:
    try:
        sample = replace(draw.ingredient.source[draw.index], visit=draw.epoch)
        rng = rng_for(loader.seed, draw.epoch, sample.sample_id)
        return loader.encoder.encode(sample, draw.ingredient.recipe, rng)
    except BadSampleError as error:
        return Skip.from_error(error, draw.index)


def _sum(notes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in notes:
        total.update(counts)
    return dict(total)
