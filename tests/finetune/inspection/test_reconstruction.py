"""What masks lose as tokens."""

from dataclasses import replace

import numpy as np
import pytest

from datasets_adapters.scenes import LabelStyle, Scenes
from finetune.data.encode import SampleEncoder
from finetune.geometry import Box
from finetune.inspection.page import inspection_html
from finetune.inspection.reconstruction import pair_masks, summarize
from finetune.inspection.statistics import inspect_split
from finetune.masks import Mask
from finetune.reporting.progress import NoProgress
from finetune.types import Instance
from recipes.referring_segmentation import ReferringSegmentation
from recipes.segmentation import Segmentation


def _block(label: str, left: int, *, filled: int = 20) -> Instance:
    pixels = np.zeros((40, 100), dtype=np.uint8)
    pixels[:20, left : left + filled] = 1
    box = Box(top=0.0, left=left / 100, bottom=0.5, right=(left + 20) / 100)
    return Instance(label=label, box=box, mask=Mask.from_array(pixels))


def test_a_mask_is_compared_with_the_one_in_its_box_and_of_its_label() -> None:
    annotated = [_block("cat", 0), _block("cat", 50), _block("dog", 50)]
    spoken = [_block("cat", 52, filled=10), _block("bus", 0), replace(_block("cat", 0), mask=None), _block("cat", 30)]
    (pair,) = pair_masks(annotated, spoken)
    assert pair.annotated is annotated[1]
    assert pair.overlap == pytest.approx(0.5)
    assert pair_masks([replace(annotated[0], is_crowd=True)], [_block("cat", 0)]) == ()


def test_a_mask_that_an_expression_asked_for_is_found_by_it_and_counted_under_its_label() -> None:
    annotated = [
        replace(_block("dog", left), expressions=(name,)) for left, name in ((0, "the left"), (50, "the right"))
    ]
    (pair,) = pair_masks(annotated, [_block("the right", 50)])
    assert pair.annotated is annotated[1]
    assert pair.spoken.label == "dog"
    assert pair_masks(annotated, [_block("the left", 50)]) == ()


def test_labels_are_told_worst_first() -> None:
    found = summarize([("cat", 1.0), ("dog", 0.4), ("cat", 0.8)], [])
    assert found is not None
    assert (found.num_masks, found.median) == (3, 0.8)
    assert found.mean == pytest.approx(2.2 / 3)
    assert found.share_below_half == pytest.approx(1 / 3)
    assert [(label.label, label.num_masks, label.worst) for label in found.labels] == [("dog", 1, 0.4), ("cat", 2, 0.8)]
    assert summarize([], []) is None


def test_a_split_is_measured_and_its_worst_masks_are_shown(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=6).open("train")
    inspection = inspect_split(source, Segmentation(), encoder, num_shown=0, progress=NoProgress())
    found = inspection.reconstruction
    assert found is not None
    assert found.num_masks == inspection.num_boxes
    assert found.mean > 0.8
    assert [one.pair.overlap for one in found.worst] == sorted(one.pair.overlap for one in found.worst)
    assert found.worst[0].pair.overlap == min(label.worst for label in found.labels)
    page = inspection_html(inspection, "scenes", "embedded (0123)")
    assert "by the codec embedded (0123)" in page
    assert page.count('class="sample card"') >= len(found.worst)


def test_a_referring_expression_is_measured_on_the_object_that_was_drawn(encoder: SampleEncoder) -> None:
    source = Scenes(num_train=8, label_style=LabelStyle.colour_shape, min_objects=2).open("train")
    inspection = inspect_split(source, ReferringSegmentation(), encoder, num_shown=2, progress=NoProgress())
    assert inspection.reconstruction is not None
    assert inspection.reconstruction.num_masks == inspection.num_usable
