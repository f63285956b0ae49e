"""report.html: a run on one page that opens from disk, made of nothing but the run's folder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from finetune.evaluate import charts, gallery, headline
from finetune.evaluate.charts import Series, chart_html, format_value
from finetune.evaluate.metrics.direction import has_direction
from finetune.leaderboard import table
from finetune.leaderboard.comparison import compare
from finetune.leaderboard.figures import published
from finetune.leaderboard.run_result import read_result
from finetune.reporting import drawing
from finetune.reporting.exit_status import DONE, read_exit_status
from finetune.reporting.page import facts_html, page_html, sections_html, table_html
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
        "Beside the paper": _beside_the_paper(folder, description.get("name", folder.path.name)),
        "Held-out samples": _gallery(folder),
        "Training": _training(curves),
        "Scores over steps": _score_curves(scores),
        **{one["title"]: table_html(one["columns"], one["rows"]) for one in description.get("tables", [])},
        "Skipped samples": _skips(folder.read_skips()),
        "Every setting": _settings(folder.read_config()),
    }
    facts = {**description.get("headline", {}), "status": _status(folder)}
    return page_html(
        description.get("name", folder.path.name),
        facts=facts_html(facts),
        body=sections_html(sections) or "<section><p>Nothing was logged yet.</p></section>",
        styles=(_STYLE, headline.STYLE, charts.STYLE, gallery.STYLE, drawing.STYLE, table.STYLE),
    )


def _beside_the_paper(folder: RunFolder, name: str) -> str:
    """Compare with the figures that were published for the run's experiment, if there are any."""
    comparisons = compare(read_result(folder.path, name), published())
    return table.section(comparisons) if any(one.published is not None for one in comparisons) else ""


def score_changes(run_folder: Path) -> list[str]:
    """Say each score of a run before its first step and after its last one, a line each; [] where it was scored once.

    Scores without a better direction are left out.
    """
    curves = series_of(RunFolder(path=run_folder).read_metrics())
    scores = [Series(name=one.name.removeprefix(EVALUATED), points=one.points) for one in curves if _is_score(one)]
    changed = [score for score in scores if len(score.points) > 1 and has_direction(score.name)]
    width = max((len(score.name) for score in changed), default=0)
    return [
        f"{score.name:<{width}}  {format_value(score.points[0][1]):>8} at step {score.points[0][0]:<6} "
        f"{format_value(score.points[-1][1]):>8} at step {score.points[-1][0]}"
        for score in changed
    ]


def series_of(lines: Sequence[LoggedValues]) -> list[Series]:
    """Turn logged lines into one series for each name, in the order of first appearance.

    A run that was killed in an evaluation logs it again: the last value of a step counts.
    """
    points: dict[str, dict[int, float]] = {}
    for line in lines:
        for name, value in line.values.items():
            points.setdefault(name, {})[line.step] = value
    return [Series(name=name, points=tuple(values.items())) for name, values in points.items()]


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
    return _grid([chart_html(score.name, [score]) for score in scores if _has_curve(score)])


def _has_curve(score: Series) -> bool:
    """Whether there is something to see: a score without a direction that never changes only says what was measured."""
    return len(score.points) > 1 and (has_direction(score.name) or len({value for _, value in score.points}) > 1)


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
        + table_html(("reason", "count"), [(code, f"{count:,}") for code, count in counts.most_common()])
        + table_html(("where", "field", "what"), messages)
    )


def _settings(config_text: str) -> str:
    return f"<details><summary>config.yaml</summary><pre>{escape(config_text)}</pre></details>" if config_text else ""


def _status(folder: RunFolder) -> str:
    status = read_exit_status(folder.path)
    if status is None:
        return "not finished"
    return status.message if status.code == DONE else f"{status.message} (exit code {status.code})"


_STYLE = """
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px}
pre{margin:10px 0 0;padding:16px;background:var(--card);border:1px solid var(--edge);border-radius:10px;
overflow-x:auto;font:12px/1.55 ui-monospace,monospace}
"""
