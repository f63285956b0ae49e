import math
from dataclasses import replace

import pytest

from finetune.leaderboard.comparison import compare
from finetune.leaderboard.figures import published
from finetune.leaderboard.run_result import RunResult
from finetune.leaderboard.table import COLUMNS, cells, markdown, page, remarks

EVIL = "<b>a|b</b>"
RESULT = RunResult(
    name="docvqa-448",
    experiment="docvqa",
    dataset=None,
    model="paligemma-3b",
    base="google/paligemma-3b-pt-448",
    image_size=448,
    split="val",
    scores={"ANLS": 0.7512},
    best_metric=None,
    num_samples=5_349,
    doubts=(),
)
BARE = replace(
    RESULT,
    name=EVIL,
    experiment=None,
    model=None,
    base="tiny",
    split="eval",
    scores={"mAP": 0.25},
    doubts=("not finished",),
)
ROWS = (*compare(RESULT, published()), *compare(BARE, published()))


def test_a_comparison_is_a_row_of_cells() -> None:
    assert dict(zip(COLUMNS, cells(ROWS[0]), strict=True)) == {
        "run": "docvqa-448",
        "experiment": "docvqa",
        "model": "paligemma-3b",
        "px": "448",
        "split": "val",
        "score": "ANLS",
        "value": "75.12",
        "paper": "74.10",
        "difference": "+1.02",
        "samples": "5,349",
        "mark": "",
    }
    assert cells(ROWS[1]) == (EVIL, "–", "tiny", "448", "eval", "mAP", "0.250", "–", "–", "5,349", "*")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.187, ("0.187", "0.192", "-0.005")), (0.0123, ("0.012", "0.192", "-0.180")), (2, ("2.000", "0.192", "+1.808"))],
)
def test_a_row_below_1_has_three_significant_digits_the_difference_too(value: float, shown: tuple[str, ...]) -> None:
    scicap = replace(RESULT, experiment="scicap", split="test", image_size=224, scores={"BLEU-4": value})
    assert cells(compare(scicap, published())[0])[6:9] == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0123, "0.0123"), (0.0, "0.000"), (math.nan, "nan"), (math.inf, "inf"), (-1.5, "-1.50")]
)
def test_a_value_alone_has_its_own_digits(value: float, shown: str) -> None:
    assert cells(compare(replace(BARE, scores={"loss": value}), published())[0])[6] == shown


def test_remarks_name_each_run_once_for_one_reason_and_every_source() -> None:
    scores = {"relaxed_accuracy/human": 0.1, "relaxed_accuracy/augmented": 0.1}
    charts = replace(RESULT, name="charts", experiment="chartqa", split="test", scores=scores, doubts=("not finished",))
    assert remarks([*compare(charts, published()), *ROWS]) == [
        "* charts (relaxed_accuracy/human, relaxed_accuracy/augmented): not finished",
        f"* {EVIL} (mAP): not finished",
        "paper: PaliGemma 2, Table 15, https://arxiv.org/abs/2412.03555 (columns PG1)",
    ]


def test_markdown_has_a_line_for_each_row_and_keeps_its_signs_from_being_read() -> None:
    lines = markdown(ROWS).splitlines()
    assert lines[0] == f"| {' | '.join(COLUMNS)} |"
    assert lines[2].startswith("| docvqa-448 | docvqa | paligemma-3b | 448 | val | ANLS | 75.12 | 74.10 | +1.02 |")
    assert lines[3].startswith(r"| \<b\>a\|b\</b\> | – | tiny |")
    assert {line.replace(r"\|", "").count("|") for line in lines[:4]} == {len(COLUMNS) + 1}


def test_the_page_shows_texts_as_texts() -> None:
    html = page(ROWS)
    assert "<td>+1.02</td>" in html
    assert EVIL not in html
    assert html.count("&lt;b&gt;a|b&lt;/b&gt;") == 2
