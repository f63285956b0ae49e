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
from dataclasses import KW_ONLY, dataclass

import torch

from finetune.data.encode import Encoded, SampleEncoder
from finetune.data.mixture import Draw, TrainingSet
from finetune.data.order import rng_for
from finetune.data.packing import Batch, pack
from finetune.data.skips import Skip, allow
from finetune.data.workers import load_in_order
from finetune.types import BadSampleError, Example, Recipe, Sample, Source

__all__ = ["PrefixBatch", "PrefixLoader", "Skip", "TrainingLoader", "Window"]


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
        with closing(load_in_order(_MicroBatches(loader=self, num_micro=num_micro), keys, self.num_workers)) as loaded:
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
class PrefixBatch:
    """Samples to generate text for.

    Args:
        indices: Their rows in the source.
        samples: With image size and orientation settled, as metrics and reports need them.
        batch: One row an example, prefixes only; None if every sample of the batch was skipped.
    """

    indices: tuple[int, ...]
    samples: tuple[Sample, ...]
    examples: tuple[Example, ...]
    batch: Batch | None
    skips: tuple[Skip, ...]


@dataclass(frozen=True, slots=True)
class PrefixLoader:
    """The samples of an evaluation, each exactly once over all ranks, in the source's order.

    Args:
        num_samples: How many of the source, from its start; None: all.
        num_workers: Loader processes; 0 loads in this one.
    """

    source: Source
    recipe: Recipe
    encoder: SampleEncoder
    _: KW_ONLY
    batch_size: int
    num_samples: int | None = None
    rank: int = 0
    world_size: int = 1
    num_workers: int = 0

    @property
    def total(self) -> int:
        """How many samples all ranks have together, skipped ones included."""
        return len(self.source) if self.num_samples is None else min(self.num_samples, len(self.source))

    def __len__(self) -> int:
        """Return how many batches this rank has. Ranks may differ by one."""
        return -(-len(self._own_indices()) // self.batch_size)

    def __iter__(self) -> Iterator[PrefixBatch]:
        """Yield this rank's batches.

        Raises:
            BadSampleError: With data.on_bad_sample=stop, at the first bad sample.
        """
        with closing(load_in_order(_Prefixes(loader=self), range(len(self)), self.num_workers)) as loaded:
            for batch in loaded:
                allow(batch.skips, self.encoder.data.on_bad_sample)
                yield batch

    def _own_indices(self) -> range:
        return range(self.rank, self.total, self.world_size)


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
            image_token_id=loader.encoder.tokenizer.image_token_id,
            row_tokens=loader.encoder.data.row_tokens,
            example_weights=[0.0 if isinstance(one, Skip) else 1.0 for one in outcomes],
        )
        skips = tuple(one for one in outcomes if isinstance(one, Skip))
        return _MicroBatch(batch=batch, skips=skips, notes=_sum(one.example.notes for one in encoded))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prefixes:
    """Random access to one rank's prefix batches."""

    loader: PrefixLoader

    def __getitem__(self, key: int) -> PrefixBatch:
        loader = self.loader
        start = key * loader.batch_size
        indices = loader._own_indices()[start : start + loader.batch_size]
        outcomes = [(index, _encode_prefix(index, loader)) for index in indices]
        usable = [(index, one) for index, one in outcomes if isinstance(one, Encoded)]
        encoded = [one for _, one in usable]
        return PrefixBatch(
            indices=tuple(index for index, _ in usable),
            samples=tuple(one.sample for one in encoded),
            examples=tuple(one.example for one in encoded),
            batch=_pack_prefixes(encoded, loader.encoder) if encoded else None,
            skips=tuple(one for _, one in outcomes if isinstance(one, Skip)),
        )


def _encode_draw(draw: Draw, loader: TrainingLoader) -> Encoded | Skip:
    try:
        sample = draw.ingredient.source[draw.index]
        rng = rng_for(loader.seed, draw.epoch, sample.sample_id)
        return loader.encoder.encode(sample, draw.ingredient.recipe, rng)
    except BadSampleError as error:
        return Skip.from_error(error, draw.index)


def _encode_prefix(index: int, loader: PrefixLoader) -> Encoded | Skip:
    try:
        return loader.encoder.ask(loader.source[index], loader.recipe)
    except BadSampleError as error:
        return Skip.from_error(error, index)


def _pack_prefixes(encoded: Sequence[Encoded], encoder: SampleEncoder) -> Batch:
    return pack(
        [one.tokenized for one in encoded],
        torch.cat([one.pixels_u8 for one in encoded]),
        image_token_id=encoder.tokenizer.image_token_id,
    )


def _sum(notes: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for counts in notes:
        total.update(counts)
    return dict(total)
