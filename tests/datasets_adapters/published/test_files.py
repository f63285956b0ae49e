import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.published.files import (
    find_annotations,
    find_folder,
    read_cells,
    read_csv,
    read_json_lines,
    read_json_list,
    read_json_members,
    read_json_object,
    read_plain_text,
    read_utf8,
)
from datasets_adapters.rows import RowPlace
from finetune.published import DataCard
from finetune.types import BadSampleError

CARD = DataCard(title="Shapes", homepage="https://example.org", licence="CC0", counts={}, counts_source="us")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def _write(content: str | bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def test_the_first_name_that_is_there_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b.json").touch()
    (tmp_path / "c.json").touch()
    assert find_annotations(tmp_path, ("a.json", "b.json", "c.json"), CARD) == tmp_path / "b.json"


@pytest.mark.parametrize(("names", "said"), [("a.json", "a.json"), (("a.json", "b/a.json"), "a.json or b/a.json")])
def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path, names: str | tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=rf"has no {said} .*Shapes is to be had from https://example.org \(CC0\)"):
        find_annotations(tmp_path, names, CARD)


def test_a_missing_folder_is_named_with_where_to_get_it(tmp_path: Path) -> None:
    assert find_folder(tmp_path, CARD) == tmp_path
    with pytest.raises(ValueError, match=r"there is no folder .*/a .*Shapes is to be had from https://example.org"):
        find_folder(tmp_path / "a", CARD)


def test_lists_objects_and_lines_are_read(write: Callable[[str | bytes], Path]) -> None:
    assert read_json_list(write('[{"a": 1}]')) == [{"a": 1}]
    assert read_json_list(write('{"rows": [{"a": 1}], "info": {}}'), "rows") == [{"a": 1}]
    assert read_json_object(write('{"7": {"a": 1}}')) == {"7": {"a": 1}}
    assert list(read_json_lines(write('{"a": 1}\n\n  \n{"a": 2}'))) == [{"a": 1}, {"a": 2}]


def _lines(path: Path) -> list[dict[str, Any]]:
    return list(read_json_lines(path))


@pytest.mark.parametrize(
    ("content", "read", "message"),
    [
        ('{"a": 1}', read_json_list, "file must be a list of objects; is it another file?"),
        ("[1]", read_json_list, "file must be a list of objects"),
        ('[{"a": 1}]', read_json_object, "file must be an object; is it another file?"),
        ("[", read_json_list, "file is not JSON"),
        ('{"a": NaN}', read_json_object, "file holds NaN"),
        ('{"a": 1, "a": 2}', read_json_object, "file gives 'a' more than once"),
        (b"\xff", read_json_object, "file is not UTF-8"),
        ('{"a": 1}\n{', _lines, "file:2 is not JSON"),
        ('{"a": 1}\n\n[]', _lines, "file:3 must be an object, got a list"),
    ],
)
def test_what_is_no_such_file_is_refused_by_its_name(
    write: Callable[[str | bytes], Path], content: str | bytes, read: Callable[[Path], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        read(write(content))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(max_size=5), JSON, max_size=4), indent=st.sampled_from([None, 1]))
def test_members_come_one_by_one_as_the_whole_would(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("members") / "f"
    path.write_text(json.dumps(value, indent=indent) + "\n")
    assert list(read_json_members(path)) == list(value.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is no JSON object: Expecting '{' at character 0"),
        ("", "Expecting '{'"),
        ('{"a" 1}', "Expecting ':'"),
        ('{"a": 1 "b": 2}', "Expecting ','"),
        ('{"a": 1, "a": 2}', "'a' is no name, or stands twice"),
        ("{1: 1}", "1 is no name"),
        ('{"a": 1', "Expecting ','"),
        ('{"a": 1,}', "Expecting value"),
        ('{"a": 1} {}', "Extra data"),
        (b'{"\xff": 1}', "is not UTF-8"),
        (f'{{"a": {"[" * 100_000}', "is nested too deeply"),
        (f'{{"a": {"1" * 5_000}}}', "a whole number of too many digits"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_members_of_what_is_no_object_are_refused_by_its_name(
    write: Callable[[str | bytes], Path], content: str | bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=f"file .*{message}"):
        list(read_json_members(write(content)))


def test_a_list_under_a_missing_key_is_refused_by_file_and_key(write: Callable[[str | bytes], Path]) -> None:
    with pytest.raises(ValueError, match="file: rows must be a list of objects"):
        read_json_list(write('{"questions": []}'), "rows")


def test_a_table_is_read_by_its_header(write: Callable[[str | bytes], Path]) -> None:
    content = '\ufeffid,text\n1,"a, b"\n2,"two\nlines"\n'
    assert list(read_csv(write(content), ["id"])) == [{"id": "1", "text": "a, b"}, {"id": "2", "text": "two\nlines"}]
    assert list(read_csv(write("id\ttext\n1\ta, b\n"), ["id"], delimiter="\t")) == [{"id": "1", "text": "a, b"}]


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


@given(rows=st.lists(st.tuples(CELLS, CELLS), max_size=5))
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("a", "b"), *rows])
    assert [(row["a"], row["b"]) for row in read_csv(path, ["a", "b"])] == rows


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n1,a\n", "has no column answer; it has id, text"),
        ("", "has no column answer"),
        ("answer,text\n1\n", "file:2 has another number of cells than the header"),
        ("answer,text\n1,2,3\n", "file:2 has another number of cells than the header"),
        (b"answer\n\xff\n", "file is no CSV file in UTF-8"),
        ('answer\n"a"b\n', "file is no CSV file in UTF-8"),
    ],
)
def test_a_table_of_another_form_is_refused(
    write: Callable[[str | bytes], Path], content: str | bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        list(read_csv(write(content), ["answer"]))


def test_lines_are_read_one_by_one(write: Callable[[str | bytes], Path]) -> None:
    rows: Iterator[dict[str, Any]] = read_json_lines(write('{"a": 1}\n{'))
    assert next(rows) == {"a": 1}


def test_a_text_is_read_without_its_byte_order_mark(write: Callable[[str | bytes], Path]) -> None:
    place = RowPlace(origin="test.txt: image 7", sample_id="7")
    assert read_utf8(write("\ufeffWAY ☃"), "words", place) == "WAY ☃"


def test_a_text_that_is_not_utf8_is_refused_by_its_row(write: Callable[[str | bytes], Path]) -> None:
    place = RowPlace(origin="test.txt: image 7", sample_id="7")
    with pytest.raises(BadSampleError, match="image 7: words: file is no text in UTF-8"):
        read_utf8(write(b"\xff\xfe"), "words", place)


def test_a_list_that_rows_share_is_read_without_its_byte_order_mark(write: Callable[[str | bytes], Path]) -> None:
    assert read_plain_text(write("\ufeffa\nb")) == "a\nb"
    with pytest.raises(ValueError, match="file is not UTF-8 from byte 1 on"):
        read_plain_text(write(b"a\xff"))


def test_cells_come_with_the_line_they_end_on_and_loose_quotes_are_text(write: Callable[[str | bytes], Path]) -> None:
    assert list(read_cells(write('a,"b\nc"\n\n"d"e\n'))) == [(2, ["a", "b\nc"]), (4, ["de"])]
    with pytest.raises(ValueError, match="file is no CSV file in UTF-8"):
        list(read_cells(write(b"a\xff\n")))
