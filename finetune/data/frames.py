"""Which of a sample's images are shown: all of them, the first few, or a video's frames at a stride."""

import numpy as np

from finetune.types import ImageReference, Sample


def shown_images(sample: Sample, num_images: int | None, *, start: int = 0) -> tuple[ImageReference, ...]:
    """Return every `frame_stride`-th image from `start` on, `num_images` at most; there may be fewer."""
    return sample.images[start :: sample.frame_stride][:num_images]


def random_start(sample: Sample, num_images: int | None, rng: np.random.Generator) -> int:
    """Draw the first frame to show of a video that has more frames than are shown and skipped; 0 of a shorter one.

    Source:
        What big_vision's transfers to videos ask of their reader (0127fb6, `deterministic_fs`), which is not public.
    """
    if num_images is None:
        return 0
    room = len(sample.images) - num_images * sample.frame_stride
    return int(rng.integers(room + 1)) if room > 0 else 0
