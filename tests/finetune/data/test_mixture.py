import pickle
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from finetune.data.mixture import Ingredient, Mixture, MixturePart, Selection, TrainingSet, select
from finetune.data.order import Groups
from finetune.types import BadSampleError, Sample
from recipes.captioning import Captioning


@dataclass(frozen=True, kw_only=True)
class Rows:
    """As many samples as asked for, some of them unreadable."""

    length: int
    block_size: int | None = None
    bad: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if index in self.bad:
            raise BadSampleError(origin="rows", sample_id="", field_name="row", code="bad", message="unreadable")
        return Sample(sample_id=str(index), origin=f"rows:{index}", images=())


def training_set(*parts: tuple[int, float], seed=0, block_size=None) -> TrainingSet:
    """Parts are (rows, weight); the first is called "a", the next "b"."""
    ingredients = [
        Ingredient(name=name, source=Rows(length=length, block_size=block_size), recipe=Captioning(), weight=weight)
        for name, (length, weight) in zip("abcd", parts, strict=False)
    ]
    return TrainingSet(ingredients=tuple(ingredients), seed=seed)


def drawn(stream: TrainingSet, start: int, stop: int) -> list[tuple[str, int, int]]:
    draws = [stream.draw(position) for position in range(start, stop)]
    return [(draw.ingredient.name, draw.epoch, draw.index) for draw in draws]


def test_the_stream_is_the_one_that_every_version_has_drawn():
    # Golden, and the example of the module's docstring.
    names = [f"{name}{index}" for name, _, index in drawn(training_set((3, 2.0), (3, 1.0)), 0, 12)]
    assert " ".join(names) == "b2 a0 a1 b0 a2 a2 b1 a1 a0 b2 a1 a0"


def test_one_ingredient_comes_in_its_own_order_each_row_once_an_epoch():
    stream = training_set((10, 1.0))
    for epoch in range(3):
        draws = drawn(stream, epoch * 10, epoch * 10 + 10)
        assert {draw[1] for draw in draws} == {epoch}
        assert sorted(draw[2] for draw in draws) == list(range(10))
    assert drawn(stream, 0, 10) != [("a", 0, index) for _, _, index in drawn(stream, 10, 20)]


PARTS = st.lists(st.tuples(st.integers(1, 25), st.floats(0.1, 10)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(PARTS, st.integers(0, 2**32))
def test_shares_are_exact_and_nothing_repeats_before_everything_came(parts, seed):
    try:
        stream = training_set(*parts, seed=seed)
    except ValueError:
        reject()
    total, whole = len(stream), sum(weight for _, weight in parts)
    assert total == sum(length for length, _ in parts) == sum(stream.shares)
    for share, (_, weight) in zip(stream.shares, parts, strict=True):
        assert abs(share - total * weight / whole) < 1
    draws = drawn(stream, 0, 3 * total)
    for epoch in range(3):
        counts = Counter(name for name, _, _ in draws[epoch * total : (epoch + 1) * total])
        assert tuple(counts[part.name] for part in stream.ingredients) == stream.shares
    assert len(set(draws)) == len(draws)
    for part, (length, _) in zip(stream.ingredients, parts, strict=True):
        epochs = [epoch for name, epoch, _ in draws if name == part.name]
        assert epochs == sorted(epochs)
        assert all(count == length for count in list(Counter(epochs).values())[:-1])


@given(st.integers(2, 6), st.integers(2, 6))
def test_every_stretch_of_an_epoch_holds_its_share(first, second):
    stream = training_set((60, float(first)), (60, float(second)))
    share = first / (first + second)
    names = [name for name, _, _ in drawn(stream, 0, 120)]
    for stop in range(1, 121):
        assert abs(names[:stop].count("a") - stop * share) <= 2


def test_any_position_can_be_asked_for_alone():
    stream = training_set((7, 1.0), (5, 2.0), seed=3)
    assert drawn(stream, 0, 50)[37:41] == drawn(stream, 37, 41)
    assert drawn(pickle.loads(pickle.dumps(stream)), 37, 41) == drawn(stream, 37, 41)


def test_ingredients_of_equal_length_are_shuffled_differently():
    draws = drawn(training_set((30, 1.0), (30, 1.0)), 0, 60)
    orders = {name: [index for other, _, index in draws if other == name] for name in "ab"}
    assert orders["a"] != orders["b"]


def test_a_source_read_forwards_is_visited_block_after_block():
    draws = drawn(training_set((12, 1.0), (30, 2.0), block_size=4), 0, 42)
    indices = [index for name, epoch, index in draws if name == "a" and epoch == 0]
    assert [sorted(indices[start : start + 4]) for start in (0, 4, 8)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_what_can_never_be_drawn_is_refused():
    with pytest.raises(ValueError, match=r"b: weight 0\.01 gives it none of the 20 examples"):
        training_set((10, 1.0), (10, 0.01))
    with pytest.raises(ValueError, match="a: there is nothing to train on"):
        training_set((0, 1.0))


def test_a_mixture_without_parts_or_with_something_else_is_refused():
    with pytest.raises(ValueError, match=r"at least one entry in recipe\.parts"):
        Mixture()
    with pytest.raises(ValueError, match=r"recipe\.parts\.captions must be a"):
        Mixture(parts={"captions": {"weight": 1}})
    with pytest.raises(ValueError, match="weight must be above 0"):
        MixturePart(recipe=Captioning(), weight=0.0)
    assert Mixture(parts={"captions": MixturePart(recipe=Captioning())}).parts["captions"].dataset is None


def test_a_selection_shows_the_rows_that_pass_in_order():
    kept = select(Rows(length=10, block_size=4), lambda sample: int(sample.sample_id) % 3 == 0)
    assert [kept[index].sample_id for index in range(len(kept))] == ["0", "3", "6", "9"]
    assert kept.block_size == 4


def test_a_row_that_cannot_be_read_is_kept_for_on_bad_sample_to_judge():
    kept = select(Rows(length=3, bad=(1,)), lambda sample: False)
    assert kept.indices.tolist() == [1]
    with pytest.raises(BadSampleError):
        kept[0]


def test_a_selection_of_nothing_is_empty():
    nothing = select(Rows(length=3), lambda sample: False)
    assert isinstance(nothing, Selection)
    assert len(nothing) == 0
    assert nothing.indices.dtype == np.int64


def test_rows_of_one_image_come_together_and_the_order_is_a_function_of_the_position():
    numbers = np.arange(12, dtype=np.int64) // 3
    plain = Ingredient(name="a", source=Rows(length=12), recipe=Captioning())
    training_set = TrainingSet(ingredients=(replace(plain, groups=Groups.of(numbers)),), seed=4)
    epochs = [[training_set.draw(12 * epoch + place).index for place in range(12)] for epoch in range(2)]
    for drawn in epochs:
        assert sorted(drawn) == list(range(12))
        assert [row // 3 for row in drawn[::3]] == [row // 3 for row in drawn[2::3]]
    assert epochs[0] != epochs[1]
    again = TrainingSet(ingredients=(replace(plain, groups=Groups.of(numbers)),), seed=4)
    assert [again.draw(position).index for position in (17, 3)] == [epochs[1][5], epochs[0][3]]
