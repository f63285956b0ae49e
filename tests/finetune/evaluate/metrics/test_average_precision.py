"""What boxes and masks share; their own tests compare with pycocotools."""

import numpy as np

from finetune.evaluate.metrics.average_precision import Overlap, ScoredImage, average_precision, box_mask
from finetune.geometry import Box
from finetune.types import Instance

SIZE = (10, 20)
CAT = Instance(label="cat", box=Box(top=0.2, left=0.5, bottom=0.7, right=1.0))


def test_all_of_a_box_is_a_mask() -> None:
    expected = np.zeros(SIZE, dtype=np.uint8)
    expected[2:7, 10:20] = 1
    assert np.array_equal(box_mask(CAT.box, SIZE).to_array(), expected)


def test_the_order_of_images_does_not_matter() -> None:
    images = [
        ScoredImage(sample_id=name, image_size=SIZE, predicted=predicted, truth=[CAT], num_malformed=0)
        for name, predicted in (("a", [CAT]), ("b", []), ("c", [CAT, CAT]))
    ]
    forward = average_precision(images, Overlap.boxes)
    assert forward == average_precision(images[::-1], Overlap.boxes)
    assert 0.5 < forward["mAP"] < 1
