"""The edit distance of two ordered trees: the least that deleting, inserting and renaming nodes can cost.

Source:
    Zhang and Shasha, Simple fast algorithms for the editing distance between trees and related problems (1989).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Label = TypeVar("Label")
Rename = Callable[[Label, Label], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree(Generic[Label]):
    """A node with its children, in order."""

    label: Label
    children: list["Tree[Label]"] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Numbered(Generic[Label]):
    """A tree's nodes with children before parents.

    Args:
        leftmost: For each node the number of the first leaf below it, or its own.
        key_roots: The last node of each `leftmost`: the subtrees that cannot be read off a larger one's table.
    """

    labels: Sequence[Label]
    leftmost: Sequence[int]
    key_roots: Sequence[int]


def tree_edit_distance(first: Tree[Label], second: Tree[Label], rename: Rename[Label]) -> float:
    """Return the distance: a deletion or insertion costs 1, and a change of label what `rename` says."""
    one, other = _number(first), _number(second)
    distances = [[0.0] * len(other.labels) for _ in one.labels]
    for root in one.key_roots:
        for other_root in other.key_roots:
            _fill(distances, one, other, root, other_root, rename)
    return distances[-1][-1]


def _fill(
    distances: list[list[float]],
    one: _Numbered[Label],
    other: _Numbered[Label],
    root: int,
    other_root: int,
    rename: Rename[Label],
) -> None:
    """Find the distances of all pairs of subtrees that begin where those of the two roots begin."""
    start, other_start = one.leftmost[root], other.leftmost[other_root]
    # Of forests: the first so many nodes from each start, from none to all.
    above = [float(count) for count in range(other_root - other_start + 2)]
    for node in range(start, root + 1):
        is_whole = one.leftmost[node] == start
        row = [above[0] + 1]
        if node == start:
            table = [above]
        for other_node in range(other_start, other_root + 1):
            column = other_node - other_start
            best = min(above[column + 1], row[column]) + 1
            if is_whole and other.leftmost[other_node] == other_start:
                best = min(best, above[column] + rename(one.labels[node], other.labels[other_node]))
                distances[node][other_node] = best
            else:
                before = table[one.leftmost[node] - start][other.leftmost[other_node] - other_start]
                best = min(best, before + distances[node][other_node])
            row.append(best)
        table.append(row)
        above = row


def _number(tree: Tree[Label]) -> _Numbered[Label]:
    labels: list[Label] = []
    leftmost: list[int] = []
    # Not recursive: generated text may nest deeper than Python calls may.
    stack: list[tuple[Tree[Label], int | None]] = [(tree, None)]
    while stack:
        node, first_leaf = stack.pop()
        if first_leaf is None:
            stack.append((node, len(labels)))
            stack.extend((child, None) for child in reversed(node.children))
        else:
            labels.append(node.label)
            leftmost.append(first_leaf)
    last = {first_leaf: number for number, first_leaf in enumerate(leftmost)}
    return _Numbered(labels=labels, leftmost=leftmost, key_roots=sorted(last.values()))
