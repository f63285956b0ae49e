"""Location tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.tokens.location import NUM_BINS, decode_bin, decode_boxes, encode_bin, encode_box, has_extent


def test_every_bin_survives_decoding_and_encoding() -> None:
    assert [encode_bin(decode_bin(index)) for index in range(NUM_BINS)] == list(range(NUM_BINS))


def test_halves_round_to_the_even_bin_and_edges_are_clipped() -> None:
    assert [encode_bin(half / 1023) for half in (0.5, 1.5, 2.5)] == [0, 2, 2]
    assert [encode_bin(edge) for edge in (-0.2, 0.0, 1.0, 1.7)] == [0, 0, 1023, 1023]


def test_a_box_is_said_as_top_left_bottom_right() -> None:
    assert encode_box(Box(top=0.0, left=0.25, bottom=0.5, right=1.0)) == "<loc0000><loc0256><loc0512><loc1023>"


def test_partial_inverted_and_out_of_range_boxes_are_skipped() -> None:
    good = "<loc0001><loc0002><loc0003><loc0004>"
    text = f"<loc0001><loc0002> {good} <loc0003><loc0002><loc0001><loc0004> <loc0001><loc0002><loc0003><loc1024>"
    assert [encode_box(box) for box in decode_boxes(text)] == [good]


@pytest.mark.parametrize("digits", ["٠٠٠١", "１２３４"])
def test_digits_of_other_scripts_are_no_bins(digits: str) -> None:
    assert decode_boxes(f"<loc{digits}><loc0002><loc0003><loc0004>") == []


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    decode_boxes(text)


@given(st.lists(st.integers(0, NUM_BINS - 1), min_size=2, max_size=2, unique=True), st.integers(0, NUM_BINS - 2))
def test_boxes_on_bins_survive_the_round_trip_exactly(rows: list[int], left: int) -> None:
    top, bottom = (decode_bin(index) for index in sorted(rows))
    box = Box(top=top, left=decode_bin(left), bottom=bottom, right=decode_bin(left + 1))
    assert decode_boxes(encode_box(box)) == [box]


def test_a_box_thinner_than_a_bin_has_no_extent() -> None:
    assert not has_extent(Box(top=0.5, left=0.1, bottom=0.5001, right=0.9))
    assert has_extent(Box(top=0.5, left=0.1, bottom=0.502, right=0.9))
