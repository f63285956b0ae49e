from dataclasses import dataclass, replace

import numpy as np
import pytest

from finetune.data.division import DividesTraining, divide
from finetune.types import BadSampleError, ImagePixels, Sample
from recipes.captioning import Captioning, each_caption
from recipes.vqa import AnswerChoice, Vqa, each_answer

IMAGE = ImagePixels(name="x", pixels=np.zeros((2, 2, 3), dtype=np.uint8))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Row i has i captions; row 2 cannot be read."""

    block_size: int | None = None

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Sample:
        if index == 2:
            raise BadSampleError(origin="rows:2", sample_id="", field_name="row", code="bad-row", message="torn")
        captions = tuple(f"caption {number} of {index}" for number in range(index))
        return Sample(sample_id=f"s{index}", origin=f"rows:{index}", images=(IMAGE,), captions=captions)


def test_each_caption_becomes_a_sample_with_an_id_of_its_own() -> None:
    divided = divide(Rows(), each_caption)
    assert len(divided) == 1 + 1 + 1 + 3
    assert divided[0].sample_id == "s0"
    assert [divided[row].sample_id for row in (3, 4, 5)] == ["s3/0", "s3/1", "s3/2"]
    assert divided[4].captions == ("caption 1 of 3",)
    with pytest.raises(BadSampleError, match="torn"):
        divided[2]


def test_ready_made_text_is_not_divided() -> None:
    sample = replace(Rows()[3], suffix="as it is")
    assert each_caption(sample) == (sample,)
    assert each_answer(replace(sample, answers=("a", "b"))) == (replace(sample, answers=("a", "b")),)


def test_recipes_divide_where_they_are_asked_to() -> None:
    assert isinstance(Captioning(), DividesTraining)
    assert Captioning().training_division() is None
    assert Captioning(use_all_captions=True).training_division() is each_caption
    assert Vqa().training_division() is None
    assert Vqa(use_all_answers=True).training_division() is each_answer
    answers = replace(Rows()[0], answers=("red", "red", "blue"))
    assert [one.answers for one in each_answer(answers)] == [("red",), ("red",), ("blue",)]


def test_all_answers_and_the_most_frequent_one_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="use_all_answers=true and answer=majority contradict"):
        Vqa(use_all_answers=True, answer=AnswerChoice.majority)
