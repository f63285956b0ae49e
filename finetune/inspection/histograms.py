"""Counts of values in equal bins, and how they look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 560, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 14, 16, 30
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_MOST_BINS = 24

STYLE = """
.histogram{margin:0;padding:14px 16px 8px}
.histogram figcaption{display:flex;gap:14px;flex-wrap:wrap;align-items:baseline;font-weight:600;font-size:13px}
.histogram figcaption span{margin-left:auto;font-weight:400;color:var(--soft);font-variant-numeric:tabular-nums}
.histogram svg{display:block;width:100%;height:auto;margin-top:6px;overflow:visible}
.histogram text{fill:var(--soft);font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.histogram rect{fill:var(--accent)}
.histogram rect.over{fill:var(--bad)}
.histogram g:hover rect{opacity:.75}
.histogram .axis{stroke:var(--edge)}
.histogram .limit{stroke:var(--bad);stroke-dasharray:4 3}
.histogram text.limit-name{fill:var(--bad)}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How many values fall into each bin [first + i * width, first + (i + 1) * width).

    Args:
        is_whole: Whether the values count something; bins are then named by the numbers in them.
        smallest, median, largest: Of the values themselves.
    """

    first: float
    width: float
    counts: tuple[int, ...]
    is_whole: bool
    smallest: float
    median: float
    largest: float


def histogram_of(values: Sequence[float], *, width: float | None = None) -> Histogram | None:
    """Count values; None where there are none.

    Args:
        width: Of a bin. None: the smallest round number that needs no more than a couple of dozen bins.
    """
    if not values:
        return None
    array = np.asarray(values, dtype=np.float64)
    smallest, largest = float(array.min()), float(array.max())
    width = width or _round_width((largest - smallest) / _MOST_BINS)
    numbers = np.floor(array / width).astype(np.int64)
    bins = numbers - numbers.min()
    return Histogram(
        first=float(numbers.min()) * width,
        width=width,
        counts=tuple(np.bincount(bins).tolist()),
        is_whole=bool((array % 1 == 0).all()),
        smallest=smallest,
        median=float(np.median(array)),
        largest=largest,
    )


def histogram_html(title: str, histogram: Histogram, *, unit: str, limit: float | None = None) -> str:
    """Draw a histogram; bins that begin above `limit` stand out. The page must include `STYLE`."""
    bars = "".join(_bar(histogram, index, unit, limit) for index in range(len(histogram.counts)))
    line = _limit_line(histogram, limit) if limit is not None else ""
    floor = _TOP + _PLOT_HEIGHT
    axis = f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>'
    facts = f"{_number(histogram.smallest)} to {_number(histogram.largest)} {unit}, median {_number(histogram.median)}"
    return (
        f'<figure class="histogram card"><figcaption>{escape(title)}<span>{escape(facts)}</span></figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{axis}{bars}{_tick_labels(histogram)}{line}</svg></figure>"
    )


def _round_width(smallest: float) -> float:
    """Return 1, 2 or 5 times a power of ten, at least 1 and at least `smallest`."""
    power = 10.0 ** max(0, math.floor(math.log10(smallest))) if smallest > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= smallest)


def _bar(histogram: Histogram, index: int, unit: str, limit: float | None) -> str:
    count = histogram.counts[index]
    start = histogram.first + index * histogram.width
    height = _PLOT_HEIGHT * count / max(histogram.counts)
    left, right = _x(histogram, start), _x(histogram, start + histogram.width)
    kind = ' class="over"' if limit is not None and start > limit else ""
    last = start + histogram.width - (1 if histogram.is_whole else 0)
    between = _number(start) if last == start else f"{_number(start)} to {_number(last)}"
    title = f"{between} {unit}: {count:,}"
    return (
        f'<g><title>{escape(title)}</title><rect{kind} x="{left + 0.5:.1f}" y="{_TOP + _PLOT_HEIGHT - height:.1f}" '
        f'width="{max(1.0, right - left - 1):.1f}" height="{height:.1f}"/></g>'
    )


def _tick_labels(histogram: Histogram) -> str:
    """Label the bars where each is one number, and their edges otherwise."""
    is_single = histogram.is_whole and histogram.width == 1
    num_places = len(histogram.counts) + (0 if is_single else 1)
    shift = histogram.width / 2 if is_single else 0
    starts = [histogram.first + index * histogram.width for index in range(0, num_places, -(-num_places // 9))]
    labels = "".join(
        f'<text x="{_x(histogram, start + shift):.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{_number(start)}</text>'
        for start in starts
    )
    return f'{labels}<text x="{_LEFT - 7}" y="{_TOP + 8}" text-anchor="end">{max(histogram.counts):,}</text>'


def _limit_line(histogram: Histogram, limit: float) -> str:
    """Mark the limit where it lies inside the picture."""
    end = histogram.first + len(histogram.counts) * histogram.width
    if not histogram.first <= limit <= end:
        return ""
    x = _x(histogram, limit)
    return (
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{_TOP + _PLOT_HEIGHT}"/>'
        f'<text class="limit-name" x="{x - 4:.1f}" y="{_TOP}" text-anchor="end">limit {_number(limit)}</text>'
    )


def _x(histogram: Histogram, value: float) -> float:
    return _LEFT + _PLOT_WIDTH * (value - histogram.first) / (histogram.width * len(histogram.counts))


def _number(value: float) -> str:
    return f"{value:,.10g}" if value == round(value) else f"{value:,.3g}"
