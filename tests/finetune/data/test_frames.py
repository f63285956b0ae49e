"""Which frames of a video are shown."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finetune.data.frames import random_start, shown_images
from finetune.types import ImageBytes, Sample


def video(num_frames: int, stride: int) -> Sample:
    frames = tuple(ImageBytes(name=str(number), data=b"") for number in range(num_frames))
    return Sample(sample_id="v", origin="a:1", images=frames, frame_stride=stride)


def numbers(sample: Sample, num_images: int | None, start: int = 0) -> list[int]:
    return [int(image.name) for image in shown_images(sample, num_images, start=start)]


def test_frames_are_shown_at_their_stride_from_a_start() -> None:
    assert numbers(video(12, 5), None) == [0, 5, 10]
    assert numbers(video(12, 5), 2) == [0, 5]
    assert numbers(video(12, 5), 2, start=3) == [3, 8]
    assert numbers(video(12, 1), None) == list(range(12))
    assert numbers(video(2, 5), 4) == [0]


def test_every_start_from_which_all_frames_follow_is_drawn() -> None:
    rng = np.random.default_rng(0)
    starts = Counter(random_start(video(20, 5), 3, rng) for _ in range(600))
    # 20 frames are 5 more than three frames at a stride of five take.
    assert set(starts) == set(range(6))
    assert min(starts.values()) > 60


@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 8), st.integers(0, 99))
def test_a_random_start_loses_no_frame(num_frames: int, stride: int, num_images: int, seed: int) -> None:
    sample = video(num_frames, stride)
    start = random_start(sample, num_images, np.random.default_rng(seed))
    assert len(numbers(sample, num_images, start)) == len(numbers(sample, num_images))
    assert random_start(sample, None, np.random.default_rng(seed)) == 0
