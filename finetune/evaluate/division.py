"""Samples that hold several questions, divided for an evaluation: each of them is asked, and scored, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from finetune.types import BadSampleError, Sample, Source


@runtime_checkable
class Divides(Protocol):
    """A recipe that draws one question of several from a sample in training, and asks all of them in an evaluation."""

    def divide(self, sample: Sample) -> Sequence[Sample]:
        """Return a sample for each question, in a fixed order, with ids of their own.

        Raises:
            BadSampleError: If the sample cannot be used.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """A source whose rows are questions. Picklable: loader processes get their own copy.

    Args:
        places: For every question the row of its sample, and which of the sample's it is.
    """

    source: Source
    recipe: Divides
    places: tuple[tuple[int, int], ...]

    @property
    def block_size(self) -> int | None:
        """As the source's: its rows stay in their order."""
        return self.source.block_size

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        row, number = self.places[index]
        return self.recipe.divide(self.source[row])[number]


def divide(source: Source, recipe: Divides) -> Division:
    """Find the questions of a source, reading each row once.

    A row that cannot be used is kept as one question: what becomes of it is for `data.on_bad_sample` to say.
    """
    counts = [_num_questions(source, row, recipe) for row in range(len(source))]
    places = tuple((row, number) for row, count in enumerate(counts) for number in range(count))
    return Division(source=source, recipe=recipe, places=places)


def _num_questions(source: Source, row: int, recipe: Divides) -> int:
    try:
        return len(recipe.divide(source[row]))
    except BadSampleError:
        return 1
