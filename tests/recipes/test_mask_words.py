"""Masks into words and back."""

import numpy as np

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.tokens.segmentation import choose_codec
from finetune.types import Instance, Sample
from recipes.mask_words import is_sayable, read_masks, say_masks

SAMPLE = Sample(sample_id="7", origin="a:1", images=(), image_size=(64, 64))


def test_nothing_is_said_and_read_of_nothing() -> None:
    codec = choose_codec("embedded")
    assert say_masks(codec, [], SAMPLE) == []
    assert read_masks(codec, [], SAMPLE) == ()


def test_a_mask_keeps_label_and_box_and_most_of_its_shape() -> None:
    pixels = np.zeros((64, 64), dtype=np.uint8)
    pixels[8:56, 16:48] = 1
    box = Box(top=0.125, left=0.25, bottom=0.875, right=0.75)
    (spoken,) = say_masks(
        choose_codec("embedded"), [Instance(label="door", box=box, mask=Mask.from_array(pixels))], SAMPLE
    )
    (read,) = read_masks(choose_codec("embedded"), [spoken], SAMPLE)
    assert (read.label, read.box) == ("door", box)
    assert read.mask is not None
    assert (read.mask.to_array() == pixels).mean() > 0.95


def test_a_box_must_hold_a_pixel_and_span_two_bins() -> None:
    wide = Box(top=0.1, left=0.1, bottom=0.9, right=0.9)
    flat = Box(top=0.503, left=0.1, bottom=0.506, right=0.9)
    line = Box(top=0.5, left=0.1, bottom=0.5, right=0.9)
    assert [is_sayable(SAMPLE, Instance(label="a", box=box)) for box in (wide, flat, line)] == [True, False, False]
