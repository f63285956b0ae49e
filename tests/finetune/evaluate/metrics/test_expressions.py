"""Scores of referring expressions; `test_referring` holds the rules against the original's own outcomes."""

import numpy as np
import pytest

from finetune.evaluate.metrics.expressions import ReferringScores
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import Instance, Prediction, Sample

SIZE = (100, 100)


def _block(left: int, width: int) -> Instance:
    pixels = np.zeros(SIZE, dtype=np.uint8)
    pixels[:50, left : left + width] = 1
    box = Box.from_xywh_pixels(left, 0, width, 50, image_size=SIZE)
    return Instance(label="it", box=box, mask=Mask.from_array(pixels))


def _score(metric: ReferringScores, said: Instance | None, truth: Instance) -> float | None:
    sample = Sample(sample_id="a", origin="a", images=(), image_size=SIZE, instances=(truth,))
    objects = () if said is None else (said,)
    return metric.update(Prediction(sample_id="a", text="", objects=objects), sample)


def test_mean_and_overall_iou_differ_and_an_invalid_text_counts_as_zero() -> None:
    metric = ReferringScores(lambda sample: sample.instances[0] if sample.instances else None)
    assert _score(metric, _block(0, 80), _block(0, 80)) == 1.0
    assert _score(metric, _block(0, 6), _block(0, 10)) == pytest.approx(0.6)
    assert _score(metric, None, _block(0, 10)) == 0.0
    scores = metric.compute()
    assert scores["mIoU"] == pytest.approx(1.6 / 3)
    assert scores["cIoU"] == pytest.approx((80 + 6) / (80 + 10 + 10))
    assert scores["boxacc50"] == pytest.approx(2 / 3)
    assert scores["boxacc75"] == pytest.approx(1 / 3)
    assert (scores["invalid"], scores["total"]) == (1.0, 3.0)
    assert set(scores) == set(metric.names())


def test_what_was_not_annotated_is_not_scored() -> None:
    metric = ReferringScores(lambda sample: None)
    assert _score(metric, _block(0, 10), _block(0, 10)) is None
    assert metric.compute() == {}
