"""The scores of a run as cards: what they were before training, what they are now, and the best in between."""

import math
from collections.abc import Sequence
from html import escape

from finetune.evaluate.charts import Series, format_value
from finetune.evaluate.metrics.direction import has_direction, is_better

STYLE = """
.scores{display:grid;grid-template-columns:repeat(auto-fill,minmax(170px,1fr));gap:14px}
.scores div{padding:14px 16px}
.scores h3{margin:0;font-size:12px;font-weight:500;color:var(--soft)}
.scores b{display:block;font-size:28px;font-weight:650;line-height:1.25;font-variant-numeric:tabular-nums}
.scores p{margin:2px 0 0;font-size:12px;color:var(--soft);font-variant-numeric:tabular-nums}
.scores .better{color:var(--good)}
.scores .worse{color:var(--bad)}
"""


def cards_html(scores: Sequence[Series]) -> str:
    """Show each score's last value, and its first and best where there were several evaluations."""
    return f'<div class="scores">{"".join(_card(score) for score in scores)}</div>'


def _card(score: Series) -> str:
    last_step, last = score.points[-1]
    lines = ""
    if len(score.points) > 1:
        first_step, first = score.points[0]
        lines += f'<p class="{_change(score.name, first, last)}">from {format_value(first)} at step {first_step:,}</p>'
        best_step, best = _best(score)
        if has_direction(score.name) and best_step != last_step and best != last:
            lines += f"<p>best {format_value(best)} at step {best_step:,}</p>"
    return f'<div class="card"><h3>{escape(score.name)}</h3><b>{format_value(last)}</b>{lines}</div>'


def _change(name: str, first: float, last: float) -> str:
    if is_better(name, last, first):
        return "better"
    return "worse" if is_better(name, first, last) else "same"


def _best(score: Series) -> tuple[int, float]:
    best_step, best = score.points[0][0], math.nan
    for step, value in score.points:
        if is_better(score.name, value, best):
            best_step, best = step, value
    return best_step, best
