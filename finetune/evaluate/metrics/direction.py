"""Which way a score gets better."""

import math

LOWER_IS_BETTER = frozenset({"CER", "WER", "malformed", "loss"})


def is_better(name: str, new: float, old: float | None) -> bool:
    """Whether `new` beats `old` for the named score. Any number beats None or NaN; a NaN beats nothing."""
    if math.isnan(new):
        return False
    if old is None or math.isnan(old):
        return True
    return new < old if name in LOWER_IS_BETTER else new > old
