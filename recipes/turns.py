"""Which of several wordings has its turn: each one comes once before any comes again, as a sample is visited."""

from collections.abc import Sequence

from finetune.data.order import position_to_index, stable_hash
from finetune.types import Sample


def in_turn(options: Sequence[str], sample: Sample) -> str:
    """Return the option of this visit: over as many visits as there are options each comes once, in shuffled order.

    Every round has an order of its own. It follows from `sample_id` and `visit` alone, so that a resumed run goes on
    where it was; the original counts visits in memory instead, and begins again.

    Source:
        big_vision pp/ops_general.py, `choice_no_replacement` (0127fb6).
    """
    number_of_round, position = divmod(sample.visit, len(options))
    seed = stable_hash("turns", sample.sample_id)
    return options[position_to_index(seed, number_of_round, position, len(options))]
