import re
import xml.etree.ElementTree as ElementTree

from finetune.reporting.page import facts_html, page_html, sections_html, table_html

EVIL = '<img src=x onerror="alert(1)">&\'{}'


def test_a_page_loads_nothing_and_holds_what_it_was_given() -> None:
    html = page_html("a run", facts="<div>facts</div>", body="<section>body</section>", styles=(".a{b:c}", ".d{e:f}"))
    assert "default-src 'none'" in html
    assert not re.search(r"https?://|<script|<link|@import|url\(", html)
    assert html.index("<div>facts</div>") < html.index("<section>body</section>")
    assert "<title>a run</title>" in html
    assert "<h1>a run</h1>" in html


def test_a_pages_own_styles_follow_the_common_ones() -> None:
    html = page_html("a run", facts="", body="", styles=("table{width:auto}",))
    assert html.index("table{border-collapse") < html.index("table{width:auto}</style>")


def test_text_is_never_markup() -> None:
    pieces = [
        page_html(EVIL, facts="", body="", styles=()),
        facts_html({EVIL: EVIL}),
        table_html((EVIL,), [(EVIL,)]),
        sections_html({EVIL: "<p>html</p>"}),
    ]
    for piece in pieces:
        assert "<img" not in piece
        assert "&lt;img" in piece


def test_sections_without_content_are_left_out() -> None:
    assert sections_html({"a": "", "b": "<p>b</p>"}) == "<section><h2>b</h2><p>b</p></section>"
    assert sections_html({"a": ""}) == ""


def test_alarming_facts_stand_out() -> None:
    html = facts_html({"bad": "2", "good": "7"}, alarming=["bad"])
    assert html == "<div><dt>bad</dt><dd class=alarming>2</dd></div><div><dt>good</dt><dd>7</dd></div>"


def test_a_table_has_a_cell_for_each_value() -> None:
    table = ElementTree.fromstring(table_html(("what", "count"), [("a", "1"), ("b", "2")]))
    assert [cell.text for cell in table.iter("th")] == ["what", "count"]
    assert [[cell.text for cell in row] for row in table.iter("tr")][1:] == [["a", "1"], ["b", "2"]]
