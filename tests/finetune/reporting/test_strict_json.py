"""JSON without surprises."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.reporting.strict_json import append_line, complete_lines, dumps, write_file


def strict(text: str) -> object:
    """Read JSON as any other language's reader would: without Python's NaN and Infinity."""

    def refuse(name: str) -> float:
        raise ValueError(name)

    return json.loads(text, parse_constant=refuse)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_comes_back_to_the_last_bit(value: float) -> None:
    back = strict(dumps({"loss": value}))
    assert isinstance(back, dict)
    assert back["loss"].hex() == value.hex()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_a_string_that_float_reads(value: float) -> None:
    back = strict(dumps({"values": [value, {"inner": value}]}))
    assert isinstance(back, dict)
    for text in (back["values"][0], back["values"][1]["inner"]):
        assert repr(float(text)) == repr(value)


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    append_line(tmp_path / "lines.jsonl", {"text": "a\ud800b é"})
    write_file(tmp_path / "file.json", dumps("\udfff"))
    assert [json.loads(line) for line in complete_lines(tmp_path / "lines.jsonl")] == [{"text": "a\ud800b é"}]
    assert json.loads((tmp_path / "file.json").read_text(encoding="utf-8")) == "\udfff"


def test_half_a_line_at_the_end_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"st', encoding="utf-8")
    assert [json.loads(line)["step"] for line in complete_lines(tmp_path / "lines.jsonl")] == [1, 2]


def test_replacing_a_file_leaves_nothing_else_behind(tmp_path: Path) -> None:
    write_file(tmp_path / "new" / "file.json", "1")
    write_file(tmp_path / "new" / "file.json", "2")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.json"]
    assert (tmp_path / "new" / "file.json").read_text(encoding="utf-8") == "2"
