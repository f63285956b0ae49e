"""Curves as inline SVG: drawn by hand, because a report must open from disk without a library or a network."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

_WIDTH, _HEIGHT = 560, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 28
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

# More points than this are neither seen nor hit with a pointer, and would make the page heavy.
_MOST_POINTS = 240
# A curve that goes so many times its own range up and down is noisy; a schedule or a few scores are not.
_NOISY_TRAVEL = 4
_DOTS_UP_TO = 30

STYLE = """
.chart{margin:0;padding:14px 16px 10px}
.chart figcaption{display:flex;gap:14px;flex-wrap:wrap;align-items:baseline;font-weight:600;font-size:13px}
.chart figcaption .last{margin-left:auto;font-weight:400;color:var(--soft);font-variant-numeric:tabular-nums}
.chart figcaption .key{font-weight:400;color:var(--soft)}
.chart figcaption .key::before{content:"";display:inline-block;width:14px;height:3px;border-radius:2px;
margin-right:5px;vertical-align:middle;background:var(--line)}
.chart svg{display:block;width:100%;height:auto;margin-top:6px;overflow:visible}
.chart text{fill:var(--soft);font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.chart .grid{stroke:var(--edge);stroke-width:1}
.chart path{fill:none;stroke:var(--line);stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.chart path.raw{opacity:.28;stroke-width:1.2}
.chart circle{fill:var(--line)}
.chart .hit{fill:transparent;stroke:none}
.chart .point circle{opacity:0}
.chart .point.dot circle,.chart .point:hover circle{opacity:1}
.chart .broken{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:2 3}
.line0{--line:var(--accent)}.line1{--line:#d9730d}.line2{--line:#12926b}.line3{--line:#b3528f}.line4{--line:#8b7d2b}
"""
_NUM_LINE_COLOURS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One curve: values over optimizer steps, ascending. Values may be infinite or not a number."""

    name: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scale:
    """Where values lie in the picture."""

    first_step: int
    last_step: int
    lowest: float
    highest: float

    def x(self, step: float) -> float:
        return _LEFT + _PLOT_WIDTH * (step - self.first_step) / max(1, self.last_step - self.first_step)

    def y(self, value: float) -> float:
        return _TOP + _PLOT_HEIGHT * (self.highest - value) / (self.highest - self.lowest)


def chart_html(title: str, series: Sequence[Series]) -> str:
    """Draw curves that share their axes. Long ones are thinned, and noisy ones get a smoothed line over the raw one.

    Steps where a value was not finite are marked by a vertical line.

    Args:
        series: At least one, each of at least one point.
    """
    scale = _scale_of(series)
    lines = "".join(_series_svg(one, number, scale) for number, one in enumerate(series))
    picture = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{_axes(scale)}{lines}</svg>'
    )
    return f'<figure class="chart card"><figcaption>{_caption(title, series)}</figcaption>{picture}</figure>'


def format_value(value: float) -> str:
    """Write a number as a person reads it: four significant digits, thousands apart."""
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e3:
        return f"{value:.4g}"
    if 1e3 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def smoothed(points: Sequence[tuple[int, float]], weight: float = 0.9) -> list[tuple[int, float]]:
    """Return the exponential moving average, corrected at its start; points that are not finite are passed over."""
    average, correction = 0.0, 1.0
    line = []
    for step, value in points:
        if math.isfinite(value):
            average, correction = weight * average + (1 - weight) * value, correction * weight
            line.append((step, average / (1 - correction)))
    return line


def ticks(lowest: float, highest: float, most: int) -> list[float]:
    """Return round numbers (1, 2 or 5 times a power of ten apart) between two different ones."""
    rough = (highest - lowest) / most
    power = 10.0 ** math.floor(math.log10(rough))
    distance = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = math.ceil(lowest / distance - 1e-9)
    last = math.floor(highest / distance + 1e-9)
    return [index * distance for index in range(first, last + 1)]


def _scale_of(series: Sequence[Series]) -> _Scale:
    steps = [step for one in series for step, _ in one.points]
    values = [value for one in series for _, value in one.points if math.isfinite(value)] or [0.0]
    lowest, highest = min(values), max(values)
    margin = 0.06 * (highest - lowest) or 0.1 * abs(highest) or 1.0
    # Curves that are never negative do not look so.
    floor = 0.0 if lowest >= 0 else -math.inf
    return _Scale(
        first_step=min(steps), last_step=max(steps), lowest=max(floor, lowest - margin), highest=highest + margin
    )


def _axes(scale: _Scale) -> str:
    parts = []
    for value in ticks(scale.lowest, scale.highest, 5):
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{format_value(value)}</text>')
    whole = [step for step in ticks(scale.first_step, scale.last_step + 1e-6, 6) if step == round(step)]
    for step in whole if scale.last_step > scale.first_step else [scale.first_step]:
        parts.append(f'<text x="{scale.x(step):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{step:,.0f}</text>')
    return "".join(parts)


def _series_svg(series: Series, number: int, scale: _Scale) -> str:
    is_noisy = _is_noisy(series.points)
    raw = _path(_thinned(series.points), scale, "raw" if is_noisy else "plain")
    smooth = _path(_thinned(smoothed(series.points)), scale, "smooth") if is_noisy else ""
    points = "".join(_point(series, point, scale) for point in _thinned(series.points))
    return f'<g class="line{number % _NUM_LINE_COLOURS}">{raw}{smooth}{points}</g>'


def _is_noisy(points: Sequence[tuple[int, float]]) -> bool:
    values = [value for _, value in points if math.isfinite(value)]
    travel = sum(abs(later - earlier) for earlier, later in pairwise(values))
    return bool(values) and travel > _NOISY_TRAVEL * (max(values) - min(values))


def _path(points: Sequence[tuple[int, float]], scale: _Scale, kind: str) -> str:
    """Connect neighbours; a value that is not finite leaves a gap."""
    commands, pen = [], "M"
    for step, value in points:
        if math.isfinite(value):
            commands.append(f"{pen}{scale.x(step):.1f} {scale.y(value):.1f}")
        pen = "L" if math.isfinite(value) else "M"
    return f'<path class="{kind}" d="{"".join(commands)}"/>'


def _point(series: Series, point: tuple[int, float], scale: _Scale) -> str:
    step, value = point
    x = scale.x(step)
    label = f"<title>{escape(series.name)}, step {step:,}: {escape(repr(value))}</title>"
    if not math.isfinite(value):
        return f'<line class="broken" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + _PLOT_HEIGHT}">{label}</line>'
    width = max(6.0, _PLOT_WIDTH / max(1, min(len(series.points), _MOST_POINTS)))
    hit = f'<rect class="hit" x="{x - width / 2:.1f}" y="{_TOP}" width="{width:.1f}" height="{_PLOT_HEIGHT}"/>'
    dot = " dot" if len(series.points) <= _DOTS_UP_TO else ""
    return f'<g class="point{dot}">{hit}<circle cx="{x:.1f}" cy="{scale.y(value):.1f}" r="3.2"/>{label}</g>'


def _thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Keep evenly spaced points, the last one, and every one that is not finite."""
    stride = -(-len(points) // _MOST_POINTS)
    last = len(points) - 1
    return [
        point
        for index, point in enumerate(points)
        if index % stride == 0 or index == last or not math.isfinite(point[1])
    ]


def _caption(title: str, series: Sequence[Series]) -> str:
    if len(series) == 1:
        return f'{escape(title)}<span class="last">{format_value(series[0].points[-1][1])}</span>'
    keys = "".join(
        f'<span class="key line{number % _NUM_LINE_COLOURS}">{escape(one.name.rpartition("/")[2])}</span>'
        for number, one in enumerate(series)
    )
    return escape(title) + keys
