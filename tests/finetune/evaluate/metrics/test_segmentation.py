"""Mask scores, with pycocotools as the judge of average precision."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from finetune.evaluate.metrics.segmentation import MaskScores, paired_overlaps
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import Instance, Prediction, Sample

SIZE = (120, 160)
LABELS = ("bus", "cat", "dog")
KEYS = {"mask_mAP": 0, "mask_mAP50": 1, "mask_mAP75": 2, "mask_mAP_small": 3, "mask_mAP_medium": 4, "mask_recall": 8}


def _block(label: str, top: int, left: int, height: int, width: int, *, is_crowd: bool = False) -> Instance:
    pixels = np.zeros(SIZE, dtype=np.uint8)
    pixels[top : top + height, left : left + width] = 1
    # A box that says nothing, so that only the mask can score.
    return Instance(
        label=label, box=Box(top=0, left=0, bottom=1, right=1), mask=Mask.from_array(pixels), is_crowd=is_crowd
    )


def _random_images(seed: int) -> list[tuple[list[Instance], list[Instance]]]:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(8):
        truth, predicted = [], []
        for _ in range(int(rng.integers(0, 6))):
            top, left, height, width = (int(rng.integers(0, 60)) for _ in range(4))
            label = str(rng.choice(LABELS))
            truth.append(_block(label, top, left, height + 4, width + 4, is_crowd=bool(rng.random() < 0.2)))
            for _ in range(int(rng.integers(0, 3))):
                moved = top + int(rng.integers(0, 5)), left + int(rng.integers(0, 5))
                predicted.append(_block(label, *moved, height + 4, width + 4))
        images.append((truth, predicted))
    return images


def _ours(images: list[tuple[list[Instance], list[Instance]]]) -> dict[str, float]:
    metric = MaskScores(lambda sample: sample.instances)
    for index, (truth, predicted) in enumerate(images):
        name = f"{index:05d}"
        metric.update(
            Prediction(sample_id=name, text="", objects=tuple(predicted)),
            Sample(sample_id=name, origin="test", images=(), image_size=SIZE, instances=tuple(truth)),
        )
    return metric.compute()


def _rle(instance: Instance) -> dict[str, Any]:
    assert instance.mask is not None
    return {"size": list(SIZE), "counts": instance.mask.counts}


def _judged(images: list[tuple[list[Instance], list[Instance]]]) -> dict[str, float]:
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id, (truth, predicted) in enumerate(images, start=1):
        for one in truth:
            shape = {"segmentation": _rle(one), "area": float(coco_mask.area(_rle(one))), "iscrowd": int(one.is_crowd)}
            bbox = coco_mask.toBbox(_rle(one)).tolist()
            named = {"id": len(annotations) + 1, "image_id": image_id, "category_id": LABELS.index(one.label) + 1}
            annotations.append({**named, **shape, "bbox": bbox})
        for one in predicted:
            named = {"image_id": image_id, "category_id": LABELS.index(one.label) + 1}
            results.append({**named, "score": 1.0, "segmentation": _rle(one)})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]} for i in range(1, len(images) + 1)],
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in enumerate(LABELS, start=1)],
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), "segm")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {name: float(judge.stats[position]) for name, position in KEYS.items()}


@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    images = _random_images(seed)
    ours = _ours(images)
    for name, value in _judged(images).items():
        assert ours.get(name, -1.0) == pytest.approx(value, abs=1e-9), name


def test_mean_iou_pairs_each_true_object_with_its_best_free_prediction() -> None:
    truth = [_block("cat", 0, 0, 10, 10), _block("cat", 0, 20, 10, 10), _block("dog", 50, 50, 10, 10)]
    predicted = [_block("cat", 0, 0, 10, 5), _block("cat", 0, 0, 10, 10), _block("cat", 50, 50, 10, 10)]
    assert paired_overlaps(predicted, truth) == [1.0, 0.0, 0.0]
    assert paired_overlaps(predicted[:1], truth) == [0.5, 0.0, 0.0]
    assert paired_overlaps([], truth) == [0.0, 0.0, 0.0]
    assert paired_overlaps(predicted, []) == []
    assert _ours([(truth, predicted), ([], predicted)])["mIoU"] == pytest.approx(1 / 3)


def test_an_invented_object_lowers_average_precision_alone() -> None:
    true = _block("cat", 0, 0, 40, 40)
    scores = _ours([([true], [_block("cat", 60, 60, 40, 40), true])])
    assert scores["mIoU"] == 1.0
    assert scores["mask_mAP"] == pytest.approx(0.5, abs=0.01)


def test_nothing_said_scores_zero_and_nothing_annotated_not_at_all() -> None:
    scores = _ours([([_block("cat", 0, 0, 40, 40)], [])])
    assert (scores["mIoU"], scores["mask_mAP50"]) == (0.0, 0.0)
    metric = MaskScores(lambda sample: None)
    sample = Sample(sample_id="a", origin="a", images=(), image_size=SIZE)
    assert metric.update(Prediction(sample_id="a", text=""), sample) is None
    assert metric.compute() == {}
    assert set(scores) <= set(metric.names())


def test_an_empty_mask_is_found_nowhere() -> None:
    empty = Instance(
        label="cat", box=Box(top=0, left=0, bottom=1, right=1), mask=Mask.from_array(np.zeros(SIZE, dtype=np.uint8))
    )
    scores = _ours([([_block("cat", 0, 0, 40, 40)], [empty])])
    assert (scores["mIoU"], scores["mask_mAP50"]) == (0.0, 0.0)


def test_a_crowd_without_a_mask_excuses_what_lies_in_its_box() -> None:
    crowd = Instance(label="cat", box=Box(top=0.5, left=0.5, bottom=1, right=1), is_crowd=True)
    true = _block("cat", 0, 0, 40, 40)
    inside = _block("cat", 80, 100, 20, 20)
    assert _ours([([true, crowd], [inside, true])])["mask_mAP"] == pytest.approx(1.0)
