import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.data.order import Groups, grouped_order, position_to_index, rng_for, stable_hash


def order(seed, epoch, length, block_size=None):
    return [position_to_index(seed, epoch, position, length, block_size) for position in range(length)]


def test_the_order_is_the_one_that_every_version_has_drawn():
    # Golden: a change here changes what every resumed run trains on.
    assert order(0, 0, 5) == [0, 3, 2, 1, 4]
    assert order(0, 1, 10) == [8, 3, 5, 2, 7, 4, 9, 1, 6, 0]
    assert order(7, 2, 10, block_size=4) == [1, 0, 3, 2, 4, 6, 5, 7, 9, 8]
    assert [position_to_index(0, 0, position, 1_000_000) for position in range(3)] == [890966, 53831, 175595]
    assert position_to_index(123, 45, 678901, 10**9) == 401868805
    assert stable_hash("a", 1) == 4836746945781937324


@pytest.mark.parametrize("lengths", [range(1, 101), range(101, 201)], ids=["up to 100", "up to 200"])
def test_every_row_comes_once_an_epoch(lengths):
    for length in lengths:
        assert sorted(order(3, 1, length)) == list(range(length))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**63), st.integers(0, 1000), st.integers(1, 300), st.integers(1, 100))
def test_blocks_are_shuffled_inside_and_visited_in_order(seed, epoch, length, block_size):
    rows = order(seed, epoch, length, block_size)
    for start in range(0, length, block_size):
        block = rows[start : start + block_size]
        assert sorted(block) == list(range(start, min(start + block_size, length)))


def test_every_permutation_of_four_rows_is_about_equally_likely():
    counts = Counter(tuple(order(seed, 0, 4)) for seed in range(2400))
    assert len(counts) == 24
    # Expected 100 each; a uniform draw leaves this range about once in 10 000 times for any of the 24.
    assert min(counts.values()) > 60
    assert max(counts.values()) < 145


def test_a_row_stands_anywhere_about_equally_often():
    length, epochs = 30, 600
    places = np.zeros((length, length), dtype=np.int64)
    for epoch in range(epochs):
        places[np.arange(length), order(11, epoch, length)] += 1
    expected = epochs / length
    chi_squared = float(((places - expected) ** 2 / expected).sum())
    degrees = (length - 1) ** 2
    assert abs(chi_squared - degrees) < 5 * (2 * degrees) ** 0.5


def test_neighbours_do_not_stay_together():
    rows = np.array(order(0, 0, 5_000))
    assert (np.abs(np.diff(rows)) == 1).sum() < 12
    assert abs(np.corrcoef(rows[:-1], rows[1:])[0, 1]) < 0.06


def test_seed_and_epoch_both_change_the_order():
    assert len({tuple(order(seed, epoch, 100)) for seed in range(5) for epoch in range(5)}) == 25


def test_a_samples_choices_depend_on_seed_epoch_and_id_alone():
    draws = {
        key: tuple(rng_for(*key).integers(0, 2**32, 2))
        for key in [(0, 0, "a"), (0, 0, "b"), (0, 1, "a"), (1, 0, "a"), (0, 10, "a"), (0, 1, "0a")]
    }
    assert len(set(draws.values())) == len(draws)
    assert draws[0, 0, "a"] == tuple(rng_for(0, 0, "a").integers(0, 2**32, 2)) == (535117163, 4288742541)


def test_the_borders_between_the_parts_of_a_hash_matter():
    assert (
        len({stable_hash("ab", "c"), stable_hash("a", "bc"), stable_hash("abc"), stable_hash("1"), stable_hash(1)}) == 5
    )
    assert stable_hash("\ud800") != stable_hash("?")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(0, 3), st.integers(0, 3))
def test_groups_come_whole_and_every_row_comes_once(numbers, seed, epoch):
    order = grouped_order(seed, epoch, Groups.of(np.array(numbers, dtype=np.int64))).tolist()
    assert sorted(order) == list(range(len(numbers)))
    met = [number for number, _ in itertools.groupby(numbers[row] for row in order)]
    assert len(met) == len(set(met)), "a group was interrupted"
    for number in met:
        rows = [row for row in order if numbers[row] == number]
        assert rows == sorted(rows)


def test_groups_are_shuffled_as_rows_are_and_anew_in_each_epoch():
    groups = Groups.of(np.arange(50, dtype=np.int64))
    first, second = (grouped_order(3, epoch, groups).tolist() for epoch in (0, 1))
    assert first == [position_to_index(3, 0, place, 50) for place in range(50)]
    assert first != second
