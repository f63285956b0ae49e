"""The samples of an evaluation as prefixes, each exactly once over all ranks.

With twenty samples and two ranks, in chunks of eight:

    index    0 .. 7   8 .. 15   16 .. 19
    rank     0        1         0

Neighbours stay together, because several questions about one image stand side by side and the image is then read once;
chunks are small, so that all ranks advance through the source side by side and what they say can be written in order.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import KW_ONLY, dataclass, replace

import torch

from finetune.data.encode import Encoded, SampleEncoder
from finetune.data.packing import Batch, pack
from finetune.data.skips import Skip, allow
from finetune.data.workers import load_in_order
from finetune.types import BadSampleError, Recipe, Source

_SAMPLES_TOGETHER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One sample as the model is asked about it.

    Args:
        index: Its row in the source.
        encoded: With a prefix alone, and with image size and orientation settled, as metrics and reports need them.
        expected_characters: How long the truth is, 0 where the sample carries none: a guess at what comes back.
    """

    index: int
    encoded: Encoded
    expected_characters: int = 0

    @property
    def num_tokens(self) -> int:
        """Length of the prefix, image tokens included."""
        return len(self.encoded.tokenized.input_ids)


@dataclass(frozen=True, slots=True)
class PrefixLoader:
    """One rank's share of the samples to evaluate, in the source's order.

    Args:
        num_samples: How many of the source, from its start; None: all.
        num_workers: Loader processes; 0 loads in this one.
    """

    source: Source
    recipe: Recipe
    encoder: SampleEncoder
    _: KW_ONLY
    num_samples: int | None = None
    rank: int = 0
    world_size: int = 1
    num_workers: int = 0

    @property
    def total(self) -> int:
        """How many samples all ranks have together, skipped ones included."""
        return len(self.source) if self.num_samples is None else min(self.num_samples, len(self.source))

    @property
    def largest_share(self) -> int:
        """How many samples the rank with the most of them has: the first rank."""
        return sum(len(chunk) for chunk in self._chunks_of(0))

    def __iter__(self) -> Iterator[Asked | Skip]:
        """Yield this rank's samples.

        Raises:
            BadSampleError: With data.on_bad_sample=stop, at the first bad sample.
        """
        chunks = _Chunks(loader=self, chunks=tuple(self._chunks_of(self.rank)))
        with closing(load_in_order(chunks, range(len(chunks.chunks)), self.num_workers)) as loaded:
            for chunk in loaded:
                for outcome in chunk:
                    if isinstance(outcome, Skip):
                        allow((outcome,), self.encoder.data.on_bad_sample)
                        yield outcome
                    else:
                        yield _owned(outcome) if self.num_workers else outcome

    def _chunks_of(self, rank: int) -> list[range]:
        together = max(1, min(_SAMPLES_TOGETHER, -(-self.total // self.world_size)))
        starts = range(rank * together, self.total, self.world_size * together)
        return [range(start, min(start + together, self.total)) for start in starts]


def pack_prefixes(asked: Sequence[Asked], *, image_token_id: int) -> Batch:
    """Lay prefixes out one a row, padded to the longest; an image that several are about is kept once."""
    states = [one.encoded.image_states for one in asked if one.encoded.image_states is not None]
    return pack(
        [one.encoded.tokenized for one in asked],
        torch.cat([one.encoded.pixels_u8 for one in asked]),
        image_token_id=image_token_id,
        image_states=torch.cat(states) if states else None,
        image_keys=[key for one in asked for key in one.encoded.image_keys],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunks:
    """Random access to one rank's samples, some at a time: each is one message of a loader process."""

    loader: PrefixLoader
    chunks: tuple[range, ...]

    def __getitem__(self, key: int) -> list[Asked | Skip]:
        return [_ask(index, self.loader) for index in self.chunks[key]]


def _ask(index: int, loader: PrefixLoader) -> Asked | Skip:
    try:
        encoded = loader.encoder.ask(loader.source[index], loader.recipe)
    except BadSampleError as error:
        return Skip.from_error(error, index)
    expected = len(loader.recipe.reference(encoded.sample))
    return Asked(index=index, encoded=encoded, expected_characters=expected)


def _owned(asked: Asked) -> Asked:
    """Copy tensors out of what is shared with a loader process: each would hold a file handle while it waits."""
    encoded = asked.encoded
    states = None if encoded.image_states is None else encoded.image_states.clone()
    return replace(asked, encoded=replace(encoded, pixels_u8=encoded.pixels_u8.clone(), image_states=states))
