from pathlib import Path

import pytest

from datasets_adapters.jsonl_index import LONGEST_LINE_BYTES, LineIndex, index_lines
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError

PLACE = RowPlace(origin="train.jsonl:1", sample_id="")


def _index(folder: Path, content: bytes) -> LineIndex:
    path = folder / "train.jsonl"
    path.write_bytes(content)
    return index_lines(path)


def test_byte_order_mark_windows_lines_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    index = _index(tmp_path, b'\xef\xbb\xbf{"a": 0}\r\n\r\n   \n\n{"a": 1}\n\t\n {"a": 2}')
    assert [index.origin(line) for line in range(len(index))] == ["train.jsonl:1", "train.jsonl:5", "train.jsonl:7"]
    assert [index.read(line, PLACE) for line in range(3)] == [{"a": 0}, {"a": 1}, {"a": 2}]
    assert [line.strip() for line in index.encoded_lines()] == [b'{"a": 0}', b'{"a": 1}', b'{"a": 2}']


def test_lines_are_found_across_block_borders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets_adapters.jsonl_index._BLOCK_BYTES", 7)
    rows = [{"a": "x" * (number % 11)} for number in range(40)]
    index = _index(tmp_path, "".join(f'{{"a": "{row["a"]}"}}\n' for row in rows).encode())
    assert [index.read(line, PLACE) for line in range(40)] == rows


def test_a_huge_line_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    with path.open("wb") as file:
        file.write(b"{")
        file.seek(LONGEST_LINE_BYTES + 10)
        file.write(b'}\n{"a": 1}\n')
    index = index_lines(path)
    assert index.read(1, PLACE) == {"a": 1}
    assert [len(line) for line in index.encoded_lines()] == [0, 8]
    with pytest.raises(BadSampleError, match="line-too-long"):
        index.read(0, PLACE)


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"a": 1', b'{"a": 1}\n{"a": "\xc3', b"{"])
def test_a_file_that_was_cut_off_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends inside line \d .*copy it again"):
        _index(tmp_path, content)


def test_a_last_line_without_a_newline_is_read(tmp_path: Path) -> None:
    assert _index(tmp_path, b'{"a": 1}').read(0, PLACE) == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"\n\r\n  \n", b"\xef\xbb\xbf"])
def test_a_file_without_a_line_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match="holds no line"):
        _index(tmp_path, content)


def test_what_was_passed_over_is_counted_in_front_of_the_next_line(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"\xef\xbb\xbf{}\n\n  \n{}\n{}\n\n")
    index = index_lines(path)
    assert [dict(index.passed_over(number)) for number in range(3)] == [
        {"byte order marks passed over": 1},
        {"blank lines passed over": 2},
        {},
    ]
