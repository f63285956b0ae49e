"""Boxes and masks painted into pixels."""

import numpy as np

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.reporting.painting import mask_at, paint, paint_masks
from finetune.types import Instance

GREY = np.full((80, 120, 3), 128, dtype=np.uint8)
BOX = Box(top=0.5, left=0.25, bottom=0.75, right=0.75)
# At half the image's resolution.
MASK = np.zeros((40, 60), dtype=np.uint8)
MASK[20:30, 15:45] = 1
DOOR = Instance(label="door", box=BOX, mask=Mask.from_array(MASK))
RED = {"door": "#ff0000"}


def test_a_mask_is_filled_so_that_the_image_shows_through_and_outlined() -> None:
    painted = paint_masks(GREY, [DOOR], RED)
    assert painted[50, 60].tolist() == [181, 74, 74]
    assert painted[40, 60].tolist() == [255, 0, 0]
    assert painted[10, 10].tolist() == [128, 128, 128]
    assert (GREY == 128).all(), "the image itself is left alone"


def test_boxes_and_labels_are_painted_over_masks() -> None:
    painted = paint(GREY, [Instance(label="door", box=BOX)], RED)
    assert painted[59, 60].tolist() == [255, 0, 0]
    assert painted[50, 60].tolist() == [128, 128, 128]
    label = painted[20:40, 30:60]
    assert (label == [255, 0, 0]).all(axis=-1).any()
    assert (label > 200).all(axis=-1).any(), "white letters"


def test_a_label_stays_inside_the_image() -> None:
    corner = Instance(label="a long label", box=Box(top=0.0, left=0.95, bottom=0.1, right=1.0))
    assert paint(GREY, [corner], {"a long label": "#00ff00"}).shape == GREY.shape


def test_a_mask_of_another_resolution_is_stretched() -> None:
    assert mask_at(DOOR, (80, 120)).sum() == 4 * MASK.sum()
