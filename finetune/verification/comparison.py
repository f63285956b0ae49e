"""One number computed here against the original's, and what is allowed between them. Imports without torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How far one quantity is from the original's.

    Args:
        quantity: What is compared, such as "logits".
        measure: What `found` is: "max |difference|", "differing values", "relative to its norm".
        tolerance: The largest `found` that still counts as equal.
        detail: What else a person should know: how much was compared, where the worst is.
    """

    quantity: str
    measure: str
    found: float
    tolerance: float
    detail: str = ""

    @property
    def is_within(self) -> bool:
        """Whether the two agree; a NaN never does."""
        return self.found <= self.tolerance


class NotTheOriginalError(RuntimeError):
    """Something was computed that the original computes otherwise."""

    # A finding, said by name: where our code found it is no help.
    exit_code = 1

    def __init__(self, comparisons: Sequence[Comparison]) -> None:
        outside = [comparison for comparison in comparisons if not comparison.is_within]
        first = outside[0]
        others = f", and {len(outside) - 1} more" if len(outside) > 1 else ""
        detail = f" ({first.detail})" if first.detail else ""
        super().__init__(
            f"not the original's numbers: {first.quantity}: {first.measure} {first.found:.3g}, allowed is "
            f"{first.tolerance:.3g}{detail}{others}"
        )


def require_all_within(comparisons: Sequence[Comparison]) -> None:
    """Refuse to call it equal if one quantity is not.

    Raises:
        NotTheOriginalError: Naming the first.
    """
    if not all(comparison.is_within for comparison in comparisons):
        raise NotTheOriginalError(comparisons)


def largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest absolute difference, in float64; NaN if there is one, infinity where shapes differ."""
    if ours.shape != theirs.shape:
        return math.inf
    return float(np.abs(ours.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))


def norm(array: np.ndarray) -> float:
    """Return the Euclidean norm of all values, in float64."""
    return float(np.linalg.norm(array.astype(np.float64)))


def worst_of(found: Mapping[str, float]) -> str:
    """Return the name with the largest number; a NaN is larger than all; "nothing" where there is none."""
    return max(found, key=lambda name: math.inf if math.isnan(found[name]) else found[name], default="nothing")
