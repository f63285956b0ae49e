"""The official tokeniser, in Java, and our own beside it."""

import json
import random
import subprocess
from pathlib import Path

import pytest

from finetune.evaluate.metrics import ptb_java
from finetune.evaluate.metrics.ptb import tokenize
from finetune.evaluate.metrics.ptb_java import is_java_available, tokenize_with_java

pytestmark = pytest.mark.skipif(not is_java_available(), reason="java does not run here")

GOLDEN = Path(__file__).parents[3] / "golden" / "ptb_tokens.json"
WORDS = """
a an the man woman's dog bus street kitchen with and in of riding holding red A The Two it's isn't don't they're
boys' cannot w/ w/o and/or black-and-white mid-air t-shirt TV U.S. St. Mr. No. etc. e.g. 1 10 3.5 1,000 50% $5 #1
10:30 1/2 24/7 3rd 1950's '50s 5-year-old 2x4 AT&T b&w Coca-Cola O'Brien o'clock www.foo.com #tag "STOP" 'EXIT'
(left) & ... ! ?? :) café “hi” it’s – — … £ 45° a.m. 7:30pm D.C. x-ray 6" ma'am could've C++ Wi-Fi Ph.D. Oct.
"""


def _captions(number: int) -> list[str]:
    draw = random.Random(0)
    return [
        " ".join(draw.choices(WORDS.split(), k=draw.randint(4, 12))) + draw.choice([".", "", "!"])
        for _ in range(number)
    ]


def test_the_golden_file_is_what_java_says() -> None:
    official = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert dict(zip(official, tokenize_with_java(list(official)), strict=True)) == official


def test_our_own_agrees_on_nearly_all_of_a_thousand_captions_full_of_odd_tokens() -> None:
    captions = _captions(1000)
    differing = [
        text for text, java in zip(captions, tokenize_with_java(captions), strict=True) if tokenize(text) != java
    ]
    assert len(differing) <= 10, differing


def test_every_text_keeps_its_place_whatever_it_contains() -> None:
    texts = ["a", "", "b\nc", "\u2028", "😀", "d\x0ce", " ", "\ud800", "é"]
    assert tokenize_with_java(texts) == ["a", "", "b c", "", "", "d e", "", "", "é"]


def test_no_text_is_no_line() -> None:
    assert tokenize_with_java([]) == []


def test_a_java_that_fails_is_reported_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess([], returncode=1, stdout=b"", stderr=b"no room for a heap")

    monkeypatch.setattr(ptb_java.subprocess, "run", fail)
    with pytest.raises(RuntimeError, match="no room for a heap"):
        tokenize_with_java(["a"])
