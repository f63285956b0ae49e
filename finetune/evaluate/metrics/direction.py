"""Which way a score gets better.

A score may be called `<part>/<score>` in a mixture, and `<score>/<category>` where categories are told apart: wherever
in the name the score stands, it means the same.
"""

import math
from collections.abc import Mapping

LOWER_IS_BETTER = frozenset({"CER", "WER", "SER", "LER", "malformed", "invalid", "parsefail", "loss"})
# They say what was measured, or with what; no value of them is a better model.
NEUTRAL = frozenset({"boxes_per_image", "total", "ptb_java"})


def is_better(name: str, new: float, old: float | None) -> bool:
    """Whether `new` beats `old` for the named score. Any number beats None or NaN; a NaN beats nothing.

    For a score without a direction nothing beats anything.
    """
    if math.isnan(new) or not has_direction(name):
        return False
    if old is None or math.isnan(old):
        return True
    return new < old if _holds(name, LOWER_IS_BETTER) else new > old


def has_direction(name: str) -> bool:
    """Whether one value of the named score can be better than another."""
    return not _holds(name, NEUTRAL)


def directional(scores: Mapping[str, float]) -> dict[str, float]:
    """Leave out the scores by which nothing can be best."""
    return {name: value for name, value in scores.items() if has_direction(name)}


def _holds(name: str, own_names: frozenset[str]) -> bool:
    return not own_names.isdisjoint(name.split("/"))
