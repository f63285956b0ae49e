"""Comparisons as cells, and as Markdown and HTML; the terminal's table is the command's."""

import math
import re
from collections.abc import Sequence
from html import escape

from finetune.leaderboard.comparison import Comparison
from finetune.leaderboard.figures import published
from finetune.reporting.page import facts_html, page_html, sections_html, table_html

COLUMNS = ("run", "experiment", "model", "px", "split", "score", "value", "paper", "difference", "samples", "mark")
# Numbers, which stand to the right.
NUMERIC = ("px", "value", "paper", "difference", "samples")
NOTHING = "–"
MARK = "*"


def cells(one: Comparison) -> tuple[str, ...]:
    """Return a comparison's cells, one for each column; a mark points to the reasons below the table."""
    result, places = one.result, _places(one)
    return (
        result.name,
        result.experiment or NOTHING,
        result.model or result.base or NOTHING,
        str(result.image_size) if result.image_size is not None else NOTHING,
        result.split or NOTHING,
        one.score or NOTHING,
        _number(one.value, places),
        _number(one.published, places),
        NOTHING if one.difference is None else f"{one.difference:+.{places}f}",
        f"{result.num_samples:,}" if result.num_samples else NOTHING,
        MARK if one.marks else "",
    )


def remarks(comparisons: Sequence[Comparison]) -> list[str]:
    """Say what keeps marked rows from being compared, and where the figures come from: a sentence each."""
    scores: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for one in comparisons:
        if one.marks:
            scores.setdefault((one.result.name, one.marks), []).append(one.score)
    marked = [
        f"{MARK} {name}{f' ({names})' if (names := ', '.join(filter(None, own))) else ''}: {'; '.join(marks)}"
        for (name, marks), own in scores.items()
    ]
    sources = dict.fromkeys(one.told_by for one in comparisons if one.told_by is not None)
    return [*marked, *(f"paper: {title}, {published().sources[title]}" for title in sources)]


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return a table in Markdown, and below it what `remarks` says."""
    rule = "|" + "|".join("---:" if name in NUMERIC else "---" for name in COLUMNS) + "|"
    rows = [_line([_escaped(cell) for cell in cells(one)]) for one in comparisons]
    return "\n".join([_line(COLUMNS), rule, *rows, "", *(f"- {_escaped(told)}" for told in remarks(comparisons)), ""])


def page(comparisons: Sequence[Comparison]) -> str:
    """Return a page that opens from disk."""
    return page_html(
        "Runs beside the paper's figures",
        facts=facts_html({"runs": str(len({one.result.name for one in comparisons}))}),
        body=sections_html({"Scores": section(comparisons)}),
        styles=(STYLE,),
    )


def section(comparisons: Sequence[Comparison]) -> str:
    """Return table and remarks for a page of any kind, whose style must include `STYLE`."""
    told = "".join(f"<li>{escape(sentence)}</li>" for sentence in remarks(comparisons))
    return table_html(COLUMNS, [cells(one) for one in comparisons]) + (f'<ul class="told">{told}</ul>' if told else "")


def _places(one: Comparison) -> int:
    """Return how many decimals a row's numbers have: two, and below 1 as many as make three significant digits."""
    scale = abs(next((number for number in (one.published, one.value) if number is not None), 0.0))
    if 0 < scale < 1:
        return 2 - math.floor(math.log10(scale))
    return 2 if scale >= 1 else 3


def _number(value: float | None, places: int) -> str:
    return NOTHING if value is None else f"{value:.{places}f}"


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(row)} |"


def _escaped(cell: str) -> str:
    """Keep what Markdown would read as its own from being read so."""
    return re.sub(r"([\\|*_\[\]<>`])", r"\\\1", cell)


STYLE = """
.told{margin:0;padding-left:18px;color:var(--soft);font-size:13px}
"""
