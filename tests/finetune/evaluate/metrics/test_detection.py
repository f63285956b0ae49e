"""COCO's average precision, with pycocotools as the judge."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from finetune.evaluate.metrics.detection import DetectionScores, f1_at_half
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import Instance, Prediction, Sample

SIZE = (480, 640)
KEYS = {"mAP": 0, "mAP50": 1, "mAP75": 2, "mAP_small": 3, "mAP_medium": 4, "mAP_large": 5, "recall": 8}


def _box(x: float, y: float, width: float, height: float) -> Box:
    return Box.from_xywh_pixels(x, y, width, height, image_size=SIZE)


def _random_images(seed: int, num_images: int) -> list[tuple[list[Instance], list[Instance]]]:
    """Return (truth, predicted) pairs: some crowds and masks; predictions close by, some with a wrong label."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(num_images):
        truth, predicted = [], []
        for _ in range(int(rng.integers(0, 8))):
            x, y, width, height = rng.uniform(0, 300), rng.uniform(0, 200), *rng.uniform(4, 200, 2)
            label = str(rng.choice(["cat", "dog", "bus"]))
            mask = None
            if rng.random() < 0.3:
                pixels = np.zeros(SIZE, dtype=np.uint8)
                pixels[int(y) : int(y + height / 2) + 1, int(x) : int(x + width) + 1] = 1
                mask = Mask.from_array(pixels)
            truth.append(
                Instance(label=label, box=_box(x, y, width, height), mask=mask, is_crowd=bool(rng.random() < 0.15))
            )
            for _ in range(int(rng.integers(0, 3))):
                moved = _box(x + rng.normal(0, 8), y + rng.normal(0, 8), width, height)
                predicted.append(Instance(label=label if rng.random() < 0.8 else "zebra", box=moved))
        images.append((truth, predicted))
    return images


def _ours(images: list[tuple[list[Instance], list[Instance]]], order: list[int] | None = None) -> dict[str, float]:
    metric = DetectionScores(lambda sample: sample.instances)
    for index in order or range(len(images)):
        truth, predicted = images[index]
        name = f"{index:05d}"
        metric.update(
            Prediction(sample_id=name, text="", objects=tuple(predicted)),
            Sample(sample_id=name, origin="test", images=(), image_size=SIZE, instances=tuple(truth)),
        )
    return metric.compute()


def _judged(images: list[tuple[list[Instance], list[Instance]]]) -> dict[str, float]:
    labels = ["bus", "cat", "dog", "zebra"]

    def xywh(box: Box) -> list[float]:
        left, top, right, bottom = box.to_xyxy_pixels(SIZE)
        return [left, top, right - left, bottom - top]

    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id, (truth, predicted) in enumerate(images, start=1):
        for instance in truth:
            bbox = xywh(instance.box)
            area = int(instance.mask.to_array().sum()) if instance.mask else bbox[2] * bbox[3]
            named = {"image_id": image_id, "category_id": labels.index(instance.label), "bbox": bbox}
            annotations.append({**named, "id": len(annotations) + 1, "area": area, "iscrowd": int(instance.is_crowd)})
        for instance in predicted:
            named = {"image_id": image_id, "category_id": labels.index(instance.label), "bbox": xywh(instance.box)}
            results.append({**named, "score": 1.0})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": image_id} for image_id in range(1, len(images) + 1)],
            "annotations": annotations,
            "categories": [{"id": index, "name": label} for index, label in enumerate(labels)],
        }
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {name: float(judge.stats[position]) for name, position in KEYS.items() if judge.stats[position] >= 0}


@pytest.mark.parametrize("seed", range(5))
def test_every_value_is_that_of_pycocotools(seed: int) -> None:
    images = _random_images(seed, 40)
    ours = _ours(images)
    assert {name: ours[name] for name in KEYS if name in ours} == pytest.approx(_judged(images), abs=1e-9)


def test_the_order_of_updates_changes_nothing_though_all_scores_are_equal() -> None:
    images = _random_images(7, 20)
    assert _ours(images) == _ours(images, list(np.random.default_rng(0).permutation(20)))


CAT = Instance(label="cat", box=_box(100, 100, 100, 100))
FAR_CAT = Instance(label="cat", box=_box(400, 300, 100, 100))
SMALL_CAT = Instance(label="cat", box=_box(10, 10, 20, 20))


def test_a_perfect_answer_scores_one_and_sizes_without_objects_are_left_out() -> None:
    scores = _ours([([CAT, SMALL_CAT], [CAT, SMALL_CAT])])
    assert scores["mAP"] == scores["recall"] == scores["mAP_small"] == pytest.approx(1.0)
    assert "mAP_medium" not in scores
    assert scores["mAP_large"] == pytest.approx(1.0)


def test_saying_nothing_scores_zero() -> None:
    scores = _ours([([CAT], []), ([SMALL_CAT], [])])
    assert scores["mAP"] == scores["recall"] == scores["boxes_per_image"] == 0.0


def test_a_split_without_any_true_box_has_no_precision() -> None:
    for predicted in ([], [CAT]):
        scores = _ours([([], predicted)])
        assert set(scores) == {"malformed", "boxes_per_image"}
        assert scores["boxes_per_image"] == len(predicted)


def test_boxes_inside_a_crowd_are_neither_right_nor_wrong() -> None:
    crowd = Instance(label="cat", box=FAR_CAT.box, is_crowd=True)
    assert _ours([([CAT, crowd], [FAR_CAT, CAT])])["mAP"] == pytest.approx(1.0)
    assert _ours([([CAT], [FAR_CAT, CAT])])["mAP"] < 0.6


def test_the_mask_decides_the_size_of_an_object() -> None:
    pixels = np.zeros(SIZE, dtype=np.uint8)
    pixels[100:110, 100:110] = 1
    thin = Instance(label="cat", box=CAT.box, mask=Mask.from_array(pixels))
    assert "mAP_small" in _ours([([thin], [CAT])])
    assert "mAP_small" not in _ours([([CAT], [CAT])])


def test_malformed_is_the_share_of_texts_and_samples_without_annotation_are_left_out() -> None:
    metric = DetectionScores(lambda sample: sample.instances)
    sample = Sample(sample_id="1", origin="test", images=(), image_size=SIZE, instances=(CAT,))
    assert metric.update(Prediction(sample_id="1", text="", objects=(CAT,), num_malformed=3), sample) == 1.0
    assert metric.update(Prediction(sample_id="2", text="", objects=(CAT,)), sample) == 1.0
    unknown = Sample(sample_id="3", origin="test", images=(), image_size=SIZE)
    assert metric.update(Prediction(sample_id="3", text="", num_malformed=1), unknown) is None
    assert metric.compute()["malformed"] == 0.5
    assert DetectionScores(lambda sample: None).compute() == {}


def test_the_score_of_one_image_is_its_f1() -> None:
    dog = Instance(label="dog", box=CAT.box)
    assert f1_at_half([], []) == 1.0
    assert f1_at_half([CAT], []) == 0.0
    assert f1_at_half([dog], [CAT]) == 0.0
    assert f1_at_half([CAT, CAT], [CAT]) == pytest.approx(2 / 3)
    assert f1_at_half([FAR_CAT, CAT], [CAT, FAR_CAT]) == 1.0


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    _ours([([CAT], [CAT])])
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""
