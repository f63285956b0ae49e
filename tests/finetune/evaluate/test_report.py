"""report.html, made of a run's folder."""

import math
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from finetune.evaluate.report import report_html, score_changes, series_of, write_report
from finetune.geometry import Box
from finetune.reporting.description import RunDescription, Table
from finetune.reporting.drawing import jpeg_bytes
from finetune.reporting.main_reporter import MainReporter
from finetune.reporting.progress import NoProgress
from finetune.reporting.rows import PredictionRow
from finetune.reporting.run_folder import LoggedValues, RunFolder
from finetune.reporting.trackers import NoTracker
from finetune.types import Instance

EVIL = "<script>alert('x')</script>"
_VOID = {"meta", "img", "input", "rect"}


@dataclass(frozen=True, kw_only=True)
class Left:
    sample_id: str
    origin: str
    field_name: str
    code: str
    message: str


class Tags(HTMLParser):
    """Collects tags and attributes, and checks that what is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run whose every text tries to be HTML."""
    box = Box(top=0.1, left=0.1, bottom=0.5, right=0.5)
    row = PredictionRow(
        sample_id=EVIL,
        prefix=EVIL,
        text=EVIL,
        reference=EVIL,
        score=math.nan,
        predicted=(Instance(label=EVIL, box=box),),
        thumbnail_jpeg=jpeg_bytes(np.zeros((8, 8, 3), dtype=np.uint8)),
    )
    reporter = MainReporter(RunFolder(path=tmp_path), NoTracker(), NoProgress())
    reporter.start(
        RunDescription(
            name=EVIL, num_steps=2, config={"a": EVIL}, config_text=f"a: {EVIL}\n", headline={"model": EVIL, EVIL: "b"}
        )
    )
    reporter.add_table(Table(title=EVIL, columns=(EVIL,), rows=((EVIL,),)))
    for step in (0, 1, 2):
        reporter.log({"loss": 1.0 + step, "learning_rate/decoder": 0.1, "learning_rate/connector": 0.2}, step)
        neutral = {"eval/captions/ptb_java": 1.0, "eval/boxes_per_image": float(step)}
        reporter.log({"eval/mAP": 0.25 * step, f"eval/{EVIL}": 1.0, **neutral}, step)
    reporter.log_predictions([row], 0)
    reporter.log_predictions([row], 2)
    reporter.log_skips([Left(sample_id=EVIL, origin=EVIL, field_name=EVIL, code=EVIL, message=EVIL)], 1)
    reporter.finish(3, EVIL)
    return RunFolder(path=tmp_path)


def test_the_page_needs_nothing_but_itself(folder: RunFolder) -> None:
    html = report_html(folder)
    assert not re.search(r"https?://|url\(|@import", html)
    loading = [value for _, name, value in Tags(html).attributes if name in {"src", "href", "srcset", "data", "action"}]
    assert loading
    assert all(value.startswith("data:image/jpeg;base64,") for value in loading)


def test_no_text_of_a_run_becomes_a_tag(folder: RunFolder) -> None:
    html = report_html(folder)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert Tags(html).open == []


def test_the_page_tells_scores_curves_samples_tables_skips_and_settings(folder: RunFolder) -> None:
    html = report_html(folder)
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert [title for title in titles if "script" not in title] == [
        "Scores",
        "Held-out samples",
        "Training",
        "Scores over steps",
        "Skipped samples",
        "Every setting",
    ]
    assert "from 0 at step 0" in html
    assert "at step 0</dt>" in html
    assert "(exit code 3)" in html


def test_learning_rates_of_parts_share_a_chart(folder: RunFolder) -> None:
    html = report_html(folder)
    assert html.count('aria-label="learning rate"') == 1
    assert html.count('aria-label="loss"') == 1


def test_what_only_says_how_it_was_measured_gets_a_card_and_no_curve(folder: RunFolder) -> None:
    html = report_html(folder)
    assert "<h3>captions/ptb_java</h3>" in html
    assert 'aria-label="captions/ptb_java"' not in html
    assert 'aria-label="boxes_per_image"' in html


def test_a_report_can_be_made_again_and_only_adds_its_own_file(folder: RunFolder) -> None:
    before = set(folder.path.rglob("*"))
    path = write_report(folder.path)
    assert path.read_text(encoding="utf-8") == report_html(folder)
    assert write_report(folder.path) == path
    assert set(folder.path.rglob("*")) - before == {path}


def test_a_run_that_logged_nothing_has_a_report_too(tmp_path: Path) -> None:
    html = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Nothing was logged yet." in html
    assert "not finished" in html


def test_scores_before_and_after_are_said_a_line_each(folder: RunFolder, tmp_path: Path) -> None:
    first, *others = (line.split() for line in score_changes(folder.path))
    assert first == ["mAP", "0", "at", "step", "0", "0.5", "at", "step", "2"]
    assert not [words for words in others if "ptb_java" in words[0] or "boxes_per_image" in words[0]]
    assert score_changes(tmp_path / "nothing") == []


def test_series_keep_the_order_of_logging() -> None:
    lines = [LoggedValues(step=1, values={"b": 1.0}), LoggedValues(step=2, values={"a": 2.0, "b": 3.0})]
    assert [(one.name, one.points) for one in series_of(lines)] == [("b", ((1, 1.0), (2, 3.0))), ("a", ((2, 2.0),))]


def test_an_evaluation_that_was_logged_twice_counts_once() -> None:
    lines = [LoggedValues(step=1, values={"a": 1.0}), LoggedValues(step=1, values={"a": 2.0})]
    assert series_of(lines)[0].points == ((1, 2.0),)
