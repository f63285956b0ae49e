"""report.html: a run on one page that opens from disk, made of nothing but the run's folder."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from finetune.evaluate import charts, gallery, headline
from finetune.evaluate.charts import Series, chart_html
from finetune.reporting import drawing
from finetune.reporting.run_folder import LoggedValues, RunFolder
from finetune.reporting.strict_json import write_file

EVALUATED = "eval/"
# These come first, in this order; whatever else was logged follows.
_FIRST_CURVES = ("loss", "learning_rate", "grad_norm", "examples_per_second", "tokens_per_second")
_MOST_MESSAGES = 5


def write_report(run_folder: Path) -> Path:
    """Write the report of a run, finished or not, and return its path; whatever was not logged yet is left out."""
    path = run_folder / "report.html"
    write_file(path, report_html(RunFolder(path=run_folder)))
    return path


def report_html(folder: RunFolder) -> str:
    """Return the page. It names no other file and no address, and its policy forbids the browser to load any."""
    description = folder.read_description()
    curves = series_of(folder.read_metrics())
    scores = [Series(name=one.name.removeprefix(EVALUATED), points=one.points) for one in curves if _is_score(one)]
    sections = {
        "Scores": headline.cards_html(scores) if scores else "",
        "Training": _training(curves),
        "Scores over steps": _score_curves(scores),
        "Held-out samples": _gallery(folder),
        **{table["title"]: _table(table["columns"], table["rows"]) for table in description.get("tables", [])},
        "Skipped samples": _skips(folder.read_skips()),
        "Every setting": _settings(folder.read_config()),
    }
    name = escape(description.get("name", folder.path.name))
    body = "".join(f"<section><h2>{escape(title)}</h2>{html}</section>" for title, html in sections.items() if html)
    return _PAGE.format(
        name=name,
        style=_STYLE + headline.STYLE + charts.STYLE + gallery.STYLE + drawing.STYLE,
        headline=_headline(description, folder),
        body=body or "<section><p>Nothing was logged yet.</p></section>",
    )


def series_of(lines: Sequence[LoggedValues]) -> list[Series]:
    """Turn logged lines into one series for each name, in the order of first appearance."""
    points: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in line.values.items():
            points.setdefault(name, []).append((line.step, value))
    return [Series(name=name, points=tuple(values)) for name, values in points.items()]


def _is_score(series: Series) -> bool:
    return series.name.startswith(EVALUATED)


def _training(curves: Sequence[Series]) -> str:
    """Draw what training logged; "learning_rate/decoder" and its like share a chart."""
    groups: dict[str, list[Series]] = {}
    for series in curves:
        if not _is_score(series):
            groups.setdefault(series.name.partition("/")[0], []).append(series)
    names = sorted(groups, key=lambda name: _FIRST_CURVES.index(name) if name in _FIRST_CURVES else len(_FIRST_CURVES))
    return _grid([chart_html(name.replace("_", " "), groups[name]) for name in names])


def _score_curves(scores: Sequence[Series]) -> str:
    return _grid([chart_html(score.name, [score]) for score in scores if len(score.points) > 1])


def _grid(figures: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>' if figures else ""


def _gallery(folder: RunFolder) -> str:
    """Show the last evaluation's samples beside what the first one said to them."""
    steps = folder.prediction_steps()
    rows = [row for row in folder.read_predictions(steps[-1]) if row.thumbnail_jpeg is not None] if steps else []
    if not rows:
        return ""
    earlier = folder.read_predictions(steps[0]) if len(steps) > 1 else []
    return f"<p>After step {steps[-1]:,}.</p>{gallery.gallery_html(rows, earlier, f'at step {steps[0]:,}')}"


def _skips(skips: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(skip["code"] for skip in skips)
    if not counts:
        return ""
    messages = [(skip["origin"], skip["field_name"], skip["message"]) for skip in skips[:_MOST_MESSAGES]]
    total = f"<p>{len(skips):,} in all; skips.jsonl lists every one.</p>"
    return (
        total
        + _table(("reason", "count"), [(code, f"{count:,}") for code, count in counts.most_common()])
        + _table(("where", "field", "what"), messages)
    )


def _settings(config_text: str) -> str:
    return f"<details><summary>config.yaml</summary><pre>{escape(config_text)}</pre></details>" if config_text else ""


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="card table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _headline(description: Mapping[str, Any], folder: RunFolder) -> str:
    facts = {**description.get("headline", {}), "status": _status(folder)}
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(fact)}</dd></div>" for name, fact in facts.items())


def _status(folder: RunFolder) -> str:
    path = folder.path / "exit_status.json"
    if not path.exists():
        return "not finished"
    status = json.loads(path.read_text(encoding="utf-8"))
    return (
        str(status["reason"]) if status["exit_code"] == 0 else f"{status['reason']} (exit code {status['exit_code']})"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{name}</title><style>{style}</style></head>
<body><main><header><h1>{name}</h1><dl>{headline}</dl></header>{body}</main></body></html>
"""

_STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#667085;--edge:#e4e7ec;--tint:#eef2f8;
--accent:#2a66d9;--good:#0f8a5f;--bad:#c8372d}
@media (prefers-color-scheme:dark){:root{--page:#12161d;--card:#1a2029;--ink:#e8ecf3;--soft:#98a2b3;--edge:#2b3340;
--tint:#263040;--accent:#7aa7ff;--good:#4cc38a;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1240px;margin:0 auto;padding:36px 24px 64px}
h1{margin:0 0 14px;font-size:26px;font-weight:680;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{margin:40px 0 14px;font-size:17px;font-weight:650}
header dl{margin:0;display:flex;flex-wrap:wrap;gap:10px 28px}
header dt{font-size:11px;color:var(--soft)}
header dd{margin:0;font-weight:550;overflow-wrap:anywhere}
section>p{margin:-8px 0 12px;color:var(--soft);font-size:13px}
.card{background:var(--card);border:1px solid var(--edge);border-radius:10px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px}
.table{overflow-x:auto;margin-bottom:14px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:7px 16px;text-align:left;vertical-align:top}
th{font-weight:550;color:var(--soft);border-bottom:1px solid var(--edge)}
tbody tr+tr td{border-top:1px solid var(--edge)}
summary{cursor:pointer;color:var(--soft)}
pre{margin:10px 0 0;padding:16px;background:var(--card);border:1px solid var(--edge);border-radius:10px;
overflow-x:auto;font:12px/1.55 ui-monospace,monospace}
"""
