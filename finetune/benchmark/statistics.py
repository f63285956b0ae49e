"""Medians, ratios with their uncertainty, and slopes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_NUM_RESAMPLES = 10_000
_INTERVAL = (2.5, 97.5)
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """How many times as long one takes as the other, with a bootstrap interval of 95 %."""

    ratio: float
    low: float
    high: float


def ratio_of(slower: Sequence[float], faster: Sequence[float]) -> Ratio:
    """Return median / median of times measured in the same rounds, one of each a round.

    Rounds are drawn again and again with both their times, so that what disturbs a whole round cancels out.

    Args:
        slower, faster: At least one each, equally many. (Named for the usual case; a ratio below 1 is fine.)
    """
    pairs = np.array([slower, faster], dtype=np.float64)
    rng = np.random.default_rng(_SEED)
    drawn = pairs[:, rng.integers(0, pairs.shape[1], (_NUM_RESAMPLES, pairs.shape[1]))]
    resampled = np.median(drawn[0], axis=-1) / np.median(drawn[1], axis=-1)
    low, high = np.percentile(resampled, _INTERVAL)
    return Ratio(ratio=median(slower) / median(faster), low=float(low), high=float(high))


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return float(np.median(np.asarray(values, dtype=np.float64)))


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return k of the best cost ~ size^k: the slope where both axes are logarithmic.

    Args:
        sizes, costs: Above 0, at least two sizes that differ.
    """
    slope, _ = np.polyfit(np.log(np.asarray(sizes, dtype=np.float64)), np.log(np.asarray(costs, dtype=np.float64)), 1)
    return float(slope)


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return what one more unit of size costs: the slope of the best straight line."""
    rise, _ = np.polyfit(np.asarray(sizes, dtype=np.float64), np.asarray(costs, dtype=np.float64), 1)
    return float(rise)
