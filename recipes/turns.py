"""Which of several wordings or objects has its turn, as a sample is visited: each comes once before any comes again."""

from collections.abc import Sequence
from typing import TypeVar

from finetune.data.order import position_to_index, stable_hash
from finetune.types import Sample

T = TypeVar("T")


def in_turn(options: Sequence[T], sample: Sample) -> T:
    """Return the option of this visit: over as many visits as there are options each comes once, in shuffled order.

    Every round has an order of its own. It follows from `sample_id` and `visit` alone, so that a resumed run goes on
    where it was; the original counts visits in memory instead, and begins again.

    Source:
        big_vision pp/ops_general.py, `choice_no_replacement` (0127fb6).
    """
    number_of_round, position = divmod(sample.visit, len(options))
    seed = stable_hash("turns", sample.sample_id)
    return options[position_to_index(seed, number_of_round, position, len(options))]
