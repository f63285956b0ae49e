"""Samples that say several things, divided so that each of them is an example of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from finetune.types import BadSampleError, Sample, Source

Parts = Callable[[Sample], Sequence[Sample]]
"""From a sample to one sample for each thing it says, in a fixed order, with ids of their own."""


@runtime_checkable
class DividesTraining(Protocol):
    """A recipe that can train on everything a sample says (all captions of an image), not on one of them by chance."""

    def training_division(self) -> Parts | None:
        """Return what divides a sample for training; None where samples stay whole."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """A source whose rows are parts of samples. Picklable: loader processes get their own copy.

    Args:
        places: For every part the row of its sample, and which of the sample's it is.
    """

    source: Source
    parts: Parts
    places: tuple[tuple[int, int], ...]

    @property
    def block_size(self) -> int | None:
        """As the source's: its rows stay in their order."""
        return self.source.block_size

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        row, number = self.places[index]
        return self.parts(self.source[row])[number]


def divide(source: Source, parts: Parts) -> Division:
    """Find the parts of a source's samples, reading each row once.

    A row that cannot be used is kept as one part: what becomes of it is for `data.on_bad_sample` to say.
    """
    counts = [_num_parts(source, row, parts) for row in range(len(source))]
    places = tuple((row, number) for row, count in enumerate(counts) for number in range(count))
    return Division(source=source, parts=parts, places=places)


def _num_parts(source: Source, row: int, parts: Parts) -> int:
    try:
        return len(parts(source[row]))
    except BadSampleError:
        return 1
