from dataclasses import fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune.data.layout import Arrangement, Place, Segments, lay_out


@st.composite
def packed_places(draw: st.DrawFn) -> tuple[list[Place], int, int]:
    """Rows of examples end to end, some with padding behind them: places, rows, columns."""
    rows = draw(st.lists(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=3), max_size=4))
    rows = rows or [[(2, 1)]]
    width = max(sum(prefix + suffix for prefix, suffix in row) for row in rows) + draw(st.integers(0, 3))
    places = []
    for number, row in enumerate(rows):
        column = 0
        for prefix, suffix in row:
            places.append(Place(row=number, column=column, prefix_tokens=prefix, suffix_tokens=(suffix,)))
            column += prefix + suffix
    return places, len(rows), width


def segments_of(places: list[Place], num_rows: int, width: int) -> Segments | None:
    return lay_out(places, num_rows=num_rows, row_tokens=width).segments


@given(packed_places())
def test_heads_and_tails_cover_every_position_once_and_keys_are_whole_segments(
    case: tuple[list[Place], int, int],
) -> None:
    places, num_rows, width = case
    segments = segments_of(places, num_rows, width)
    if segments is None:
        return
    both = torch.cat([segments.head_rows, segments.tail_rows])
    assert sorted(both.tolist()) == list(range(num_rows * width))
    assert torch.equal(both[segments.joined], torch.arange(num_rows * width))
    assert segments.ends[-1] == num_rows * width
    starts = segments.ends[:-1].tolist()
    for place in places:
        number = starts.index(place.row * width + place.column)
        first = starts[number]
        prefix = segments.prefix_rows[segments.prefix_ends[number] : segments.prefix_ends[number + 1]]
        head = segments.head_rows[segments.head_ends[number] : segments.head_ends[number + 1]]
        tail = segments.tail_rows[segments.tail_ends[number] : segments.tail_ends[number + 1]]
        assert prefix.tolist() == list(range(first, first + place.prefix_tokens))
        assert head.tolist() == prefix.tolist()[:-1]
        assert tail.tolist() == list(range(first + place.prefix_tokens - 1, first + place.num_tokens))
        assert segments.ends[number + 1] - first == place.num_tokens


@given(packed_places())
def test_the_longest_of_each_kind_is_known_on_the_host(case: tuple[list[Place], int, int]) -> None:
    segments = segments_of(*case)
    if segments is None:
        return
    for name, ends in (
        ("longest_head", segments.head_ends),
        ("longest_tail", segments.tail_ends),
        ("longest_prefix", segments.prefix_ends),
        ("longest", segments.ends),
    ):
        assert getattr(segments, name) == int(ends.diff().max())
        assert ends.dtype == torch.int32


def test_the_picture_of_the_module_is_what_comes_out() -> None:
    layout = lay_out([Place(row=0, column=0, prefix_tokens=3, suffix_tokens=(2,))], num_rows=1, row_tokens=5)
    assert (layout.arrangement, layout.equal_prefix) == (Arrangement.equal, 3)
    assert layout.tail_rows.tolist() == [[2, 3, 4]]


def test_equal_prefixes_make_tails_one_block_of_columns_padding_included() -> None:
    places = [Place(row=row, column=0, prefix_tokens=3, suffix_tokens=(row,)) for row in range(3)]
    layout = lay_out(places, num_rows=3, row_tokens=6)
    assert layout.arrangement is Arrangement.equal
    assert layout.tail_rows.tolist() == [[2, 3, 4, 5], [8, 9, 10, 11], [14, 15, 16, 17]]
    assert layout.segments is None


@pytest.mark.parametrize("prefix_tokens", [3, 4])
def test_prefixes_of_different_lengths_or_several_in_a_row_are_packed(prefix_tokens: int) -> None:
    first = Place(row=0, column=0, prefix_tokens=3, suffix_tokens=(1,))
    second = Place(row=1, column=0, prefix_tokens=prefix_tokens, suffix_tokens=(2,))
    layout = lay_out([first, second], num_rows=2, row_tokens=6)
    expected = Arrangement.equal if prefix_tokens == 3 else Arrangement.packed
    assert layout.arrangement is expected
    together = Place(row=0, column=4, prefix_tokens=3, suffix_tokens=(1,))
    assert lay_out([first, together], num_rows=1, row_tokens=8).arrangement is Arrangement.packed


def test_several_suffixes_make_a_tree_whose_tail_holds_the_prefixs_end_once() -> None:
    place = Place(row=0, column=1, prefix_tokens=3, suffix_tokens=(2, 1))
    layout = lay_out([place], num_rows=1, row_tokens=8)
    assert (layout.arrangement, layout.segments, layout.equal_prefix) == (Arrangement.tree, None, None)
    assert layout.tail_rows.tolist() == [[3, 4, 5, 6]]


def test_shorter_tails_are_filled_with_a_position_of_their_own_row() -> None:
    places = [
        Place(row=0, column=0, prefix_tokens=2, suffix_tokens=(3,)),
        Place(row=1, column=0, prefix_tokens=3, suffix_tokens=(1,)),
    ]
    assert lay_out(places, num_rows=2, row_tokens=5).tail_rows.tolist() == [[1, 2, 3, 4], [7, 8, 8, 8]]


def test_moving_a_layout_moves_every_tensor() -> None:
    places = [Place(row=0, column=0, prefix_tokens=2, suffix_tokens=(1,))] * 1
    places.append(Place(row=0, column=3, prefix_tokens=3, suffix_tokens=(1,)))
    moved = lay_out(places, num_rows=1, row_tokens=8).to(torch.device("meta"))
    assert moved.tail_rows.device.type == "meta"
    assert moved.segments is not None
    tensors = [getattr(moved.segments, field.name) for field in fields(Segments)]
    assert {tensor.device.type for tensor in tensors if isinstance(tensor, torch.Tensor)} == {"meta"}
