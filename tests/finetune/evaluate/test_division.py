"""Questions of samples as rows of their own."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from finetune.evaluate.division import Divides, divide
from finetune.types import BadSampleError, Sample


@dataclass(frozen=True)
class Words:
    """Rows with a caption of several words; one row is bad."""

    captions: tuple[str | None, ...]

    @property
    def block_size(self) -> int | None:
        return 5

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, index: int) -> Sample:
        caption = self.captions[index]
        if caption is None:
            raise BadSampleError(origin="a:1", sample_id="", field_name="x", code="bad", message="is bad")
        return Sample(sample_id=str(index), origin=f"a:{index}", images=(), captions=tuple(caption.split()))


@dataclass(frozen=True)
class EachWord:
    """Ask for every word of a caption."""

    def divide(self, sample: Sample) -> Sequence[Sample]:
        return [replace(sample, sample_id=f"{sample.sample_id}/{word}", text=word) for word in sample.captions]


def test_every_question_is_a_row_and_a_bad_row_stays_to_be_refused() -> None:
    division = divide(Words(("a b", None, "", "c")), EachWord())
    division = pickle.loads(pickle.dumps(division))
    assert (len(division), division.block_size) == (4, 5)
    assert [division[index].sample_id for index in (0, 1, 3)] == ["0/a", "0/b", "3/c"]
    with pytest.raises(BadSampleError, match="is bad"):
        division[2]


def test_only_a_recipe_that_can_divides() -> None:
    assert isinstance(EachWord(), Divides)
    assert not isinstance(object(), Divides)
