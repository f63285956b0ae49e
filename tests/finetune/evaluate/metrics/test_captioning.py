"""CIDEr-D, BLEU and ROUGE-L, against the official scorer's own values."""

import json
from pathlib import Path
from typing import Any

import pytest

from finetune.evaluate.metrics import captioning
from finetune.evaluate.metrics.captioning import CaptionScores
from finetune.evaluate.metrics.ptb_java import is_java_available
from finetune.types import Prediction, Sample

JAVA = pytest.param(True, marks=pytest.mark.skipif(not is_java_available(), reason="java does not run here"))


def _score(items: list[dict[str, Any]], *, use_java: bool | None) -> dict[str, float]:
    metric = CaptionScores(lambda sample: sample.captions, use_java=use_java)
    for item in items:
        name = str(item["image_id"])
        sample = Sample(sample_id=name, origin="test", images=(), captions=tuple(item["references"]))
        assert metric.update(Prediction(sample_id=name, text=item["prediction"]), sample) is None
    return metric.compute()


@pytest.mark.parametrize("use_java", [JAVA, False])
def test_every_corpus_score_of_the_official_scorer_is_met(oracles: Path, use_java: bool) -> None:
    expected = json.loads((oracles / "metrics.expected.json").read_text(encoding="utf-8"))["captions"]
    scores = _score(expected["items"], use_java=use_java)
    assert scores["CIDEr"] == pytest.approx(expected["cider"], abs=1e-6)
    assert [scores[f"BLEU-{order}"] for order in (1, 2, 3, 4)] == pytest.approx(expected["bleu"], abs=1e-6)
    assert scores["ROUGE-L"] == pytest.approx(expected["rouge_l"], abs=1e-6)
    assert scores["ptb_java"] == float(use_java)


def test_every_image_of_the_official_scorer_is_met(oracles: Path) -> None:
    from pycocoevalcap.cider.cider import Cider

    items = json.loads((oracles / "metrics.expected.json").read_text(encoding="utf-8"))["captions"]["items"]
    truth = {item["image_id"]: item["references_ptb"] for item in items}
    _, ciders = Cider().compute_score(truth, {item["image_id"]: [item["prediction_ptb"]] for item in items})
    assert list(ciders) == pytest.approx([item["cider"] for item in items], abs=1e-6)


ITEMS: list[dict[str, Any]] = [
    {"image_id": 1, "references": ["A cat.", "Two cats"], "prediction": "a cat"},
    {"image_id": 2, "references": ["A red bus."], "prediction": ""},
    {"image_id": 10, "references": ["."], "prediction": "!?\na\u2028b"},
]


@pytest.mark.parametrize("use_java", [JAVA, False])
def test_empty_captions_and_line_breaks_are_scored(use_java: bool) -> None:
    scores = _score(ITEMS, use_java=use_java)
    assert 0 < scores["CIDEr"] < 10


def test_the_order_of_updates_changes_nothing() -> None:
    assert _score(ITEMS, use_java=False) == _score(ITEMS[::-1], use_java=False)


def test_without_references_there_is_no_score() -> None:
    assert _score([{"image_id": 1, "references": [], "prediction": "a cat"}], use_java=False) == {}


def test_references_without_a_word_score_zero() -> None:
    assert _score(ITEMS[2:], use_java=False)["CIDEr"] == 0.0


def test_where_no_word_is_right_every_score_is_zero_and_no_trace_of_one() -> None:
    scores = _score([{"image_id": 1, "references": ["a red circle"], "prediction": "zebra"}], use_java=False)
    assert [scores[f"BLEU-{order}"] for order in (1, 2, 3, 4)] == [0, 0, 0, 0]


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    _score(ITEMS, use_java=None)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


@pytest.mark.parametrize("runs", [JAVA, False])
def test_java_is_used_where_it_runs_and_the_result_says_so(monkeypatch: pytest.MonkeyPatch, runs: bool) -> None:
    monkeypatch.setattr(captioning, "is_java_available", lambda: runs)
    assert _score(ITEMS, use_java=None)["ptb_java"] == float(runs)
