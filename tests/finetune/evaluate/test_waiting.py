import numpy as np
import torch

from finetune.data.encode import Encoded
from finetune.data.prefixes import Asked
from finetune.evaluate.waiting import Waiting
from finetune.types import Example, Sample, TokenizedExample


def asked(index: int, num_tokens: int, image: str | None = None, expected_characters: int = 0) -> Asked:
    name = f"s{index}"
    ids = np.zeros(num_tokens, dtype=np.int64)
    encoded = Encoded(
        sample=Sample(sample_id=name, origin=name, images=()),
        example=Example(sample_id=name, images=(), prefix="", suffix=""),
        tokenized=TokenizedExample(sample_id=name, input_ids=ids, is_suffix=ids.astype(np.bool_), num_image_tokens=0),
        pixels_u8=torch.zeros(0, 3, 4, 4, dtype=torch.uint8),
        image_keys=(image or name,),
    )
    return Asked(index=index, encoded=encoded, expected_characters=expected_characters)


def taken(waiting: Waiting, num_free: int, most_tokens: int = 1000) -> list[list[int]]:
    return [[one.index for one in group] for group in waiting.take(num_free, most_tokens)]


def test_the_longest_of_a_window_comes_first_and_windows_stay_in_order() -> None:
    waiting = Waiting(iter([asked(index, num_tokens) for index, num_tokens in enumerate([3, 5, 4, 9, 8, 7])]), 3)
    assert len(waiting) == 3
    assert taken(waiting, 2) == [[1, 2]]
    assert taken(waiting, 2) == [[0], [3]]
    assert taken(waiting, 9) == [[4, 5]]
    assert not waiting
    assert taken(waiting, 9) == []


def test_among_equal_prefixes_more_is_expected_of_the_first() -> None:
    samples = [asked(index, 4, expected_characters=characters) for index, characters in enumerate([2, 9, 0, 5])]
    assert taken(Waiting(iter(samples), 9), 9) == [[1, 3, 0, 2]]


def test_questions_about_one_image_stay_side_by_side() -> None:
    images_and_lengths = [("a", 4), ("a", 9), ("b", 6), ("b", 6), ("c", 8), ("a", 7)]
    samples = [asked(index, num_tokens, image) for index, (image, num_tokens) in enumerate(images_and_lengths)]
    assert taken(Waiting(iter(samples), 9), 9) == [[0, 1, 4, 5, 2, 3]]


def test_groups_hold_no_more_tokens_than_allowed_but_always_one_sample() -> None:
    samples = [asked(index, num_tokens) for index, num_tokens in enumerate([50, 10, 10, 10, 10])]
    assert taken(Waiting(iter(samples), 9), 9, most_tokens=20) == [[0], [1, 2], [3, 4]]


def test_one_at_a_time_keeps_the_order() -> None:
    waiting = Waiting(iter([asked(0, 3), asked(1, 9), asked(2, 5)]), 1)
    assert [taken(waiting, 1) for _ in range(3)] == [[[0]], [[1]], [[2]]]
