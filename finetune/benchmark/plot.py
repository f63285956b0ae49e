"""What a sweep found as a picture: time and memory against size, one line a variant, in plain SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from finetune.benchmark.sweep import curve
from finetune.evaluate.charts import format_value, ticks

_WIDTH, _HEIGHT = 400, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 30, 40
_PLOT_WIDTH, _PLOT_HEIGHT = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
_LEGEND = 22
_COLOURS = {
    "ours": "#2a66d9",
    "ours_compiled": "#7aa6f0",
    "stock": "#d9730d",
    "stock_checkpointed": "#b3528f",
    "strong": "#12926b",
}
_PANELS = {"milliseconds": "ms a step", "extra_mib": "extra MiB of a step"}
_STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#667085}.title{font-weight:600;font-size:13px;fill:#475467}"
    ".grid{stroke:#d0d5dd;stroke-width:1}path{fill:none;stroke-width:2}"
)


def sweep_svg(section: Mapping[str, Any]) -> str:
    """Draw a section of `finetune.benchmark.sweep.sweep_section`, with the exponents in the legend."""
    panels = [
        _panel(section, measure, title, number * _WIDTH) for number, (measure, title) in enumerate(_PANELS.items())
    ]
    width, height = _WIDTH * len(_PANELS), _HEIGHT + _LEGEND
    label = escape(section["title"])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'<title>{label}</title><style>{_STYLE}</style><rect width="{width}" height="{height}" fill="#fff"/>'
        f"{''.join(panels)}{_legend(section)}</svg>\n"
    )


def _panel(section: Mapping[str, Any], measure: str, title: str, left: int) -> str:
    sizes, points = section["sizes"], section["points"]
    curves = {name: curve(name, measure, sizes, points) for name in section["slopes"]}
    highest = max((value for found in curves.values() for _, value in found), default=0.0) or 1.0
    largest = max(sizes)

    def place(size: float, value: float) -> tuple[float, float]:
        x = left + _LEFT + _PLOT_WIDTH * size / largest
        return x, _TOP + _PLOT_HEIGHT * (1 - value / highest)

    lines = "".join(_line(name, [place(*point) for point in found]) for name, found in curves.items() if found)
    heading = f'<text class="title" x="{left + _LEFT}" y="18">{escape(title)}</text>'
    return heading + _axes(place, sizes, highest, left, section["unit"]) + lines


def _axes(place: Any, sizes: Sequence[float], highest: float, left: int, unit: str) -> str:
    right, bottom = left + _WIDTH - _RIGHT, _TOP + _PLOT_HEIGHT
    parts = []
    for value in ticks(0.0, highest, 5):
        _, y = place(0.0, value)
        parts.append(f'<line class="grid" x1="{left + _LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left + _LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{format_value(value)}</text>')
    for size in ticks(0.0, max(sizes), 5):
        x, _ = place(size, 0.0)
        parts.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{format_value(size)}</text>')
    middle = (left + _LEFT + right) / 2
    parts.append(f'<text x="{middle:.1f}" y="{bottom + 32}" text-anchor="middle">{escape(unit)}</text>')
    return "".join(parts)


def _line(name: str, places: Sequence[tuple[float, float]]) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
    return f'<g stroke="{_COLOURS[name]}" fill="{_COLOURS[name]}"><path d="M{path}"/>{dots}</g>'


def _legend(section: Mapping[str, Any]) -> str:
    parts = []
    for number, (name, slopes) in enumerate(section["slopes"].items()):
        x, y = _LEFT + number * (2 * _WIDTH - _LEFT) / len(section["slopes"]), _HEIGHT + 12
        powers = ", ".join(
            f"{kind} ^{slopes[measure]['exponent']:.2f}" for measure, kind in _KINDS if measure in slopes
        )
        parts.append(f'<rect x="{x:.1f}" y="{y - 8}" width="14" height="4" fill="{_COLOURS[name]}"/>')
        label = f"{name.replace('_', ' ')}{f' ({powers})' if powers else ''}"
        parts.append(f'<text x="{x + 20:.1f}" y="{y - 2}">{escape(label)}</text>')
    return "".join(parts)


_KINDS = (("milliseconds", "time"), ("extra_mib", "memory"))
