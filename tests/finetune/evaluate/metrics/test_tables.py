"""The likeness of tables."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.evaluate.metrics.tables import teds

TABLE = "<thead><tr><td>Age</td><td>Sex</td></tr></thead><tbody><tr><td>40</td><td><b>m</b></td></tr></tbody>"
# Two parts, two rows, four cells and a <b>.
NUM_NODES = 9


# Each value is what the original's metric.py gives.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TABLE, 1.0),
        (f"<html><body><table frame='hsides'>{TABLE}</table></body></html>", 1.0),
        (TABLE.replace("Age", "Ape"), 1 - 1 / 3 / NUM_NODES),
        (TABLE.replace("<b>m</b>", "m"), 1 - 2 / 3 / NUM_NODES),
        (TABLE.replace("<td>40", "<td colspan='2'>40"), 1 - 1 / NUM_NODES),
        (TABLE.replace("<td>Age</td>", ""), 1 - 1 / NUM_NODES),
        (TABLE.replace("<td>Age</td>", "<th>Age</th>"), 1 - 1 / NUM_NODES),
        (TABLE.replace("</td>", "").replace("</tr>", ""), 1.0),
        (TABLE.replace("<thead>", "").replace("</thead>", ""), 1 - 1 / NUM_NODES),
        ("<tr></tr>", 1 - 7 / NUM_NODES),
        ("", 0.0),
        ("no table", 0.0),
    ],
)
def test_the_likeness_is_the_originals(text: str, expected: float) -> None:
    assert teds(text, [TABLE]) == pytest.approx(expected)


def test_the_structure_alone_does_not_see_what_cells_hold() -> None:
    assert teds(TABLE.replace("Age", "xyz"), [TABLE], is_content_seen=False) == 1.0
    assert teds(TABLE.replace("<td>40", "<td rowspan='2'>40"), [TABLE], is_content_seen=False) == pytest.approx(
        1 - 1 / NUM_NODES
    )


def test_the_nearest_reference_counts_and_other_attributes_do_not() -> None:
    assert teds(TABLE.replace("<td>", '<td coords="<loc0001><loc0002>">'), ["", TABLE]) == 1.0


def test_a_table_in_a_cell_is_what_the_cell_holds_and_what_follows_a_table_is_none_of_it() -> None:
    nested = TABLE.replace("40", "<table><tr><td>1</td></tr></table>")
    assert teds(nested, [nested]) == 1.0
    assert teds(nested, [nested.replace("1", "2")], is_content_seen=False) == 1.0
    whole = f"<table>{TABLE}</table>"
    assert teds(f"{whole}<table><tr><td>more</td></tr></table>", [whole]) == 1.0


@settings(max_examples=50, deadline=None)
@given(
    st.text(alphabet="<>/!-[]tdrb \"'=", max_size=60)
    | st.lists(st.sampled_from(["<td>", "</tr>", "<![", "<!--", "a", "<b>"])).map("".join)
)
def test_any_text_has_a_likeness_and_is_like_itself(text: str) -> None:
    assert -2 < teds(text, [TABLE]) <= 1
    assert teds(text, [text]) == 1.0
