"""The edit distance of trees."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.evaluate.metrics.tree_edit import Tree, tree_edit_distance

# A forest as nested tuples: (label, children) for each tree.
Forest = tuple[tuple[str, "Forest"], ...]


def _differs(one: str, other: str) -> float:
    return float(one != other)


def _size(forest: Forest) -> int:
    return sum(1 + _size(children) for _, children in forest)


@cache
def _by_definition(one: Forest, other: Forest) -> float:
    """Delete the last root, insert it, or match the two, whichever is least."""
    if not one or not other:
        return _size(one) + _size(other)
    (label, children), (other_label, other_children) = one[-1], other[-1]
    matched = _by_definition(children, other_children) + _differs(label, other_label)
    return min(
        _by_definition((*one[:-1], *children), other) + 1,
        _by_definition(one, (*other[:-1], *other_children)) + 1,
        matched + _by_definition(one[:-1], other[:-1]),
    )


def _tree(label: str, children: Forest) -> Tree[str]:
    return Tree(label=label, children=[_tree(*child) for child in children])


_FORESTS = st.recursive(
    st.just(()),
    lambda below: st.lists(st.tuples(st.sampled_from("abc"), below), max_size=3).map(tuple),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(_FORESTS, _FORESTS)
def test_the_distance_is_that_of_the_definition(one: Forest, other: Forest) -> None:
    expected = _by_definition((("r", one),), (("r", other),))
    assert tree_edit_distance(_tree("r", one), _tree("r", other), _differs) == expected


def test_the_example_of_the_paper_costs_a_deletion_and_an_insertion() -> None:
    one = _tree("f", (("d", (("a", ()), ("c", (("b", ()),)))), ("e", ())))
    other = _tree("f", (("c", (("d", (("a", ()), ("b", ()))),)), ("e", ())))
    assert tree_edit_distance(one, other, _differs) == 2


def test_a_change_of_label_costs_what_the_caller_says() -> None:
    assert tree_edit_distance(_tree("a", ()), _tree("b", ()), lambda *_: 0.25) == 0.25


def test_a_tree_may_be_deeper_than_calls_may_nest() -> None:
    one = Tree(label="a")
    for _ in range(2000):
        one = Tree(label="a", children=[one])
    assert tree_edit_distance(one, Tree(label="a"), _differs) == 2000
