"""Words with polygons."""

import pytest

from datasets_adapters.published.words import UNREADABLE, read_word
from datasets_adapters.rows import RowPlace
from finetune.geometry import Box
from finetune.types import BadSampleError


def _place() -> RowPlace:
    return RowPlace(origin="words.txt", sample_id="7")


def test_a_word_has_the_box_around_its_polygon() -> None:
    word = read_word("WAY ", [(10, 20), (50, 10), (60, 40), (10, 30)], (100, 200), "words[0]", _place())
    assert word is not None
    assert (word.label, word.box, word.is_crowd) == ("WAY", Box(top=0.1, left=0.05, bottom=0.4, right=0.3), False)


def test_a_word_that_nobody_could_read_is_a_crowd() -> None:
    word = read_word(None, [(10, 20), (50, 40)], (100, 200), "words[0]", _place())
    assert word is not None
    assert (word.label, word.is_crowd) == (UNREADABLE, True)


def test_a_polygon_over_the_edge_is_clipped_and_one_outside_is_left_out_and_both_are_counted() -> None:
    place = _place()
    clipped = read_word("A", [(-10, 0), (20, 0), (20, 20), (-10, 20)], (100, 200), "words[0]", place)
    assert clipped is not None
    assert clipped.box.left == 0
    assert read_word("B", [(300, 0), (320, 20)], (100, 200), "words[1]", place) is None
    assert len(place.notes) == 2


def test_a_word_without_text_is_refused() -> None:
    with pytest.raises(BadSampleError, match=r"words\[0\]: must not be empty"):
        read_word("  ", [(10, 20), (50, 40)], (100, 200), "words[0]", _place())
