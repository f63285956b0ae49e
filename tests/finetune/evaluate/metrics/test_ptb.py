"""Penn Treebank tokenisation in plain Python."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from finetune.evaluate.metrics.ptb import drop_punctuation, to_one_line, tokenize

# Text, and what the official tokeniser makes of it (test_ptb_java.py asks it again, where Java runs).
GOLDEN = Path(__file__).parents[3] / "golden" / "ptb_tokens.json"


def test_nasty_strings_are_cut_as_the_official_tokeniser_cuts_them() -> None:
    official = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {text: tokenize(text) for text in official} == official


def test_every_string_of_the_oracle_is_met(oracles: Path) -> None:
    items = json.loads((oracles / "metrics.expected.json").read_text(encoding="utf-8"))["captions"]["items"]
    for item in items:
        assert tokenize(item["prediction"]) == item["prediction_ptb"]
        assert [tokenize(text) for text in item["references"]] == item["references_ptb"]


@given(st.text())
def test_any_text_becomes_one_line_of_tokens(text: str) -> None:
    tokens = tokenize(text)
    assert len(tokens.splitlines()) <= 1
    assert "" not in tokens.split(" ") or tokens == ""


@given(st.lists(st.from_regex(r"[b-hk-z][a-z]{3,8}", fullmatch=True)))
def test_plain_words_stay_whole(words: list[str]) -> None:
    words = [word for word in words if word not in {"cannot", "gonna", "gotta", "wanna", "lemme", "gimme"}]
    assert tokenize(" ".join(words).upper()) == " ".join(words)


def test_line_breaks_of_every_kind_become_spaces() -> None:
    assert to_one_line("a\r\nb\x0bc\x0cd\u2028e\n") == "a b c d e"


def test_only_listed_punctuation_is_dropped() -> None:
    assert drop_punctuation(["a", ",", "''", "--", "&", "-lrb-", ""]) == "a & -lrb-"
