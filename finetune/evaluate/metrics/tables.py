"""TEDS, the likeness of two HTML tables: how little of the tree of rows and cells must be edited.

<table><tr><td>a</td><td><b>b</b></td></tr></table>   below the table three nodes, and a fourth in a cell: the <b>
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

from finetune.evaluate.metrics.tree_edit import Tree, tree_edit_distance

_CELLS = ("td", "th")
_PARTS = ("thead", "tbody", "tfoot")
# What a tag ends that was left open before it in the same table.
_ENDS = {
    **dict.fromkeys(_CELLS, _CELLS),
    "tr": (*_CELLS, "tr"),
    **dict.fromkeys(_PARTS, (*_CELLS, "tr", *_PARTS)),
}
_VOID = frozenset({"br", "hr", "img", "input", "col", "wbr"})
_COMMENT = re.compile("<!--.*?-->", re.DOTALL)
_TABLE = re.compile(r"<table\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    """A tag; of a cell (td) also its spans, and what it holds: characters, and tags as one piece each."""

    tag: str
    spans: tuple[int, int] = (1, 1)
    content: list[str] = field(default_factory=list)


def teds(text: str, references: Sequence[str], *, is_content_seen: bool = True) -> float:
    """Return the tree-edit-distance similarity of a table and the nearest of the references.

    It is 1 - edits / nodes of the larger tree, the outermost one left out. A cell of the same spans costs as much of an
    edit as its content differs by, in characters. A text without a tag is like no table; one that nests where the
    reference does not may be below 0. Unlike the original, a text may leave out <html>, <body> and <table>, and tags
    that were left open are closed by the rules for tables alone.

    Source:
        Zhong et al., Image-based table recognition (2020); ibm-aur-nlp/PubTabNet, src/metric.py (0e0c343).
    """
    table = _read(text)
    return max(_similarity(table, _read(reference), is_content_seen) for reference in references)


def _similarity(one: "_TableReader", other: "_TableReader", is_content_seen: bool) -> float:
    if not one.num_nodes or not other.num_nodes:
        return float(one.num_nodes == other.num_nodes)
    rename = _rename if is_content_seen else _rename_structure
    return 1.0 - tree_edit_distance(one.table, other.table, rename) / max(one.num_nodes, other.num_nodes)


def _rename(one: _Element, other: _Element) -> float:
    from rapidfuzz.distance import Levenshtein

    return _rename_structure(one, other) or Levenshtein.normalized_distance(one.content, other.content)


def _rename_structure(one: _Element, other: _Element) -> float:
    return float(one.tag != other.tag or one.spans != other.spans)


def _read(text: str) -> "_TableReader":
    reader = _TableReader()
    # The parser fails on a declaration that is none; no table needs one.
    text = _COMMENT.sub("", text).replace("<!", "&lt;!")
    reader.feed(text[start.start() :] if (start := _TABLE.search(text)) else f"<table>{text}")
    reader.close()
    return reader


class _TableReader(HTMLParser):
    """Reads the table that a text begins with, however malformed.

    `num_nodes` counts every element below it, those inside cells too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = Tree(label=_Element(tag="table"))
        self.num_nodes = 0
        self._open: list[Tree[_Element]] = []
        self._is_begun = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, after closing what it ends."""
        if not self._is_begun:
            self._is_begun = True
            self._open.append(self.table)
            return
        # What follows the table is none of it.
        if not self._open:
            return
        self._close_from(self._first_of(_ENDS.get(tag, ())))
        node = Tree(label=_Element(tag=tag, spans=_spans(dict(attrs)) if tag == "td" else (1, 1)))
        self.num_nodes += 1
        self._put(node)
        self._open.append(node)
        if tag in _VOID:
            self._close_from(len(self._open) - 1)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost such element of the innermost table, and what is open in it."""
        tags = [node.label.tag for node in self._open]
        if tag in tags[self._innermost_table() :]:
            self._close_from(len(tags) - 1 - tags[::-1].index(tag))

    def handle_data(self, data: str) -> None:
        """Keep the text of cells."""
        if cell := self._cell():
            cell.content.extend(data)

    def _put(self, node: Tree[_Element]) -> None:
        if cell := self._cell():
            cell.content.append(f"<{node.label.tag}>")
        else:
            self._open[-1].children.append(node)

    def _close_from(self, index: int) -> None:
        while len(self._open) > index:
            closed = self._open.pop()
            if cell := self._cell():
                cell.content.append(f"</{closed.label.tag}>")

    def _first_of(self, tags: Sequence[str]) -> int:
        """Return where the outermost such element of the innermost table is open, or how many elements are."""
        start, count = self._innermost_table(), len(self._open)
        return next((index for index in range(start, count) if self._open[index].label.tag in tags), count)

    def _innermost_table(self) -> int:
        return max((index for index, node in enumerate(self._open) if node.label.tag == "table"), default=0)

    def _cell(self) -> _Element | None:
        """Return the outermost cell that is open."""
        return next((node.label for node in self._open if node.label.tag == "td"), None)


def _spans(attributes: Mapping[str, str | None]) -> tuple[int, int]:
    return _span(attributes.get("colspan")), _span(attributes.get("rowspan"))


def _span(value: str | None) -> int:
    return int(value) if value is not None and value.isdecimal() else 1
