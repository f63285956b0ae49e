"""Samples that hold several questions, divided for an evaluation: each of them is asked, and scored, once."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from finetune.data.division import Division
from finetune.data.division import divide as divide_samples
from finetune.types import Sample, Source


@runtime_checkable
class Divides(Protocol):
    """A recipe that draws one question of several from a sample in training, and asks all of them in an evaluation."""

    def divide(self, sample: Sample) -> Sequence[Sample]:
        """Return a sample for each question, in a fixed order, with ids of their own.

        Raises:
            BadSampleError: If the sample cannot be used.
        """
        ...


def divide(source: Source, recipe: Divides) -> Division:
    """Find the questions of a source, reading each row once.

    A row that cannot be used is kept as one question: what becomes of it is for `data.on_bad_sample` to say.
    """
    return divide_samples(source, recipe.divide)
