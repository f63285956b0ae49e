"""Rows found by ids that other files give."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.published.ids import by_id, grouped_by_id, under_id

NO_IDS = [None, [], [1], {}, {"a": 1}, True, 1.0]


def test_rows_are_found_by_their_id() -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "a": "x"}, {"id": "2", "a": "y"}]
    assert by_id(rows, "id", Path("f"))["2"]["a"] == "y"


@given(ids=st.lists(st.integers(0, 3) | st.text("ab", max_size=1)))
def test_groups_hold_every_row_once_and_in_order(ids: list[int | str]) -> None:
    rows = [{"id": one, "place": place} for place, one in enumerate(ids)]
    groups = grouped_by_id(rows, "id", Path("f"))
    assert {one: [row["place"] for row in group] for one, group in groups.items()} == {
        one: [place for place, other in enumerate(ids) if other == one] for one in ids
    }


def test_two_rows_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="f: row 3 has the id 1 of a row before it"):
        by_id([{"id": 1}, {"id": 2}, {"id": 1}], "id", Path("f"))


@pytest.mark.parametrize("find", [by_id, grouped_by_id])
@pytest.mark.parametrize("row", [{"a": 1}, *({"id": value, "a": 1} for value in NO_IDS)], ids=str)
def test_rows_without_an_id_of_their_own_are_refused(find: Any, row: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^f: id of row 2 must be text or a whole number, got .*'a': 1"):
        find([{"id": 1}, row], "id", Path("f"))


@pytest.mark.parametrize(("identifier", "found"), [(1, "x"), ("1", "y"), (2, "none"), *((no, "none") for no in NO_IDS)])
def test_what_is_no_id_finds_nothing(identifier: object, found: str) -> None:
    assert under_id(identifier, {1: "x", "1": "y"}, "none") == found
