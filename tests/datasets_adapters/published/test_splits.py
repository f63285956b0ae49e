from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.published.splits import JoinedSource, open_split, split_names
from finetune.types import Sample, Source

KNOWN = ("train", "val", "zeroshot/dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """A source whose rows say its name and their own number."""

    name: str
    length: int

    @property
    def block_size(self) -> int | None:
        return None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return Sample(sample_id=f"{self.name}{index}", origin=self.name, images=())


def _open(split: str, length: int = 10) -> Source:
    return open_split(split, KNOWN, lambda name: Numbered(name=name, length=length))


def _ids(source: Source) -> list[str]:
    return [source[index].sample_id for index in range(len(source))]


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        ("train[:2]", ["train0", "train1"]),
        ("train[8:]", ["train8", "train9"]),
        ("train[-1:]", ["train9"]),
        ("train[:-8]", ["train0", "train1"]),
        ("train[3:5]", ["train3", "train4"]),
        ("train[50%:70%]", ["train5", "train6"]),
        ("train[-10%:]", ["train9"]),
        ("train[9:]+val[:1]", ["train9", "val0"]),
        ("train[:1] + zeroshot/dev[:1]", ["train0", "zeroshot/dev0"]),
        ("train[:1]+train[-1:]", ["train0", "train9"]),
        ("train[5:3]", []),
        ("train[:99]", [f"train{index}" for index in range(10)]),
    ],
)
def test_slices_and_sums_pick_the_rows_that_they_say(split: str, ids: list[str]) -> None:
    assert _ids(_open(split)) == ids


def test_a_whole_split_is_opened_as_it_is() -> None:
    assert isinstance(_open("train"), Numbered)
    assert isinstance(_open("train+val"), JoinedSource)
    assert _open("train+val").block_size is None


def test_a_split_that_stands_twice_is_opened_once() -> None:
    opened = []

    def open_one(name: str) -> Source:
        opened.append(name)
        return Numbered(name=name, length=4)

    open_split("train[:1]+val+train[1:]", KNOWN, open_one)
    assert opened == ["train", "val"]


@pytest.mark.parametrize(("length", "kept"), [(25, 24), (75, 74), (101, 99)])
def test_a_border_between_two_rows_goes_to_the_nearer_one_and_half_to_even(length: int, kept: int) -> None:
    assert len(_open("train[:98%]", length)) == kept


@given(length=st.integers(0, 500), percent=st.integers(0, 100))
def test_the_two_sides_of_a_border_are_the_whole(length: int, percent: int) -> None:
    both = _open(f"train[:{percent}%]+train[{percent}%:]", length)
    assert _ids(both) == _ids(Numbered(name="train", length=length))


@given(length=st.integers(0, 60), rows=st.integers(1, 80))
def test_tuning_and_training_rows_counted_from_the_end_never_meet(length: int, rows: int) -> None:
    training, tuning = (set(_ids(_open(f"train[{part}]", length))) for part in (f":-{rows}", f"-{rows}:"))
    assert not training & tuning
    assert len(training | tuning) == length


@pytest.mark.parametrize("index", [-1, 3])
def test_a_row_outside_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match=r"has 3 rows"):
        _open("train[:2]+val[:1]")[index]


@pytest.mark.parametrize("split", ["", "train[", "train[:x]", "train[::2]", "train++val", "train[:1.5%]"])
def test_an_expression_that_cannot_be_read_is_refused_with_examples(split: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read the split .*write train, train\[:98%\] or train\+val"):
        _open(split)


def test_an_unknown_split_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(ValueError, match="there is no split 'trian'; did you mean train"):
        _open("trian+val")


def test_the_names_of_an_expression_are_each_said_once() -> None:
    assert split_names("train[:98%] + val+train[98%:]") == ["train", "val"]
