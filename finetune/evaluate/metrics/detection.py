"""COCO's average precision of labelled boxes, and how well-formed the texts were that named them.

PaliGemma gives no confidence: every box scores 1, and boxes of one image rank in the order in which they were said.
A label that no true box of the split carries is not punished by COCO's rules, which average over true labels only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from finetune.evaluate.metrics.quiet import silence
from finetune.geometry import Box, intersection_over_union
from finetune.types import Instance, Prediction, Sample

Truth = Callable[[Sample], Sequence[Instance] | None]

# Positions in the evaluator's `stats`; recall is the average over IoU thresholds with up to 100 boxes an image.
_STATISTICS = {"mAP": 0, "mAP50": 1, "mAP75": 2, "mAP_small": 3, "mAP_medium": 4, "mAP_large": 5, "recall": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """One image: what was said about it and what is true."""

    sample_id: str
    image_size: tuple[int, int]
    predicted: Sequence[Instance]
    truth: Sequence[Instance]
    num_malformed: int


class DetectionScores:
    """mAP, mAP50, mAP75, mAP by object size, recall, malformed (share of texts) and boxes_per_image.

    Crowd regions excuse the boxes inside them, as COCO has it. Object sizes are areas in pixels of the annotated image:
    the mask's where there is one, the box's otherwise; a size that no true object has is left out. Samples without
    annotated objects are left out.

    Args:
        truth: Reads the true objects out of a sample; None where they were not annotated.
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._scored: list[_Scored] = []

    def names(self) -> tuple[str, ...]:
        """Return all of them, those that a split without objects of some size lacks included."""
        return (*_STATISTICS, "malformed", "boxes_per_image")

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return its F1 at an IoU of 0.5, crowds aside."""
        truth = self._truth(sample)
        if truth is None:
            return None
        assert sample.image_size is not None, "the image was decoded, so its size is known"
        self._scored.append(
            _Scored(
                sample_id=sample.sample_id,
                image_size=sample.image_size,
                predicted=prediction.objects,
                truth=truth,
                num_malformed=prediction.num_malformed,
            )
        )
        return f1_at_half(prediction.objects, [instance for instance in truth if not instance.is_crowd])

    def compute(self) -> dict[str, float]:
        """Return the values by name; nothing where no sample had annotated objects."""
        if not self._scored:
            return {}
        # Boxes of equal score rank by image, so the images' order must not depend on the order of updates.
        scored = sorted(self._scored, key=lambda image: image.sample_id)
        num_images = len(scored)
        return {
            **_average_precision(scored),
            "malformed": sum(image.num_malformed > 0 for image in scored) / num_images,
            "boxes_per_image": sum(len(image.predicted) for image in scored) / num_images,
        }


def f1_at_half(predicted: Sequence[Instance], truth: Sequence[Instance]) -> float:
    """Return the F1 of one image: each box, in order, takes the best free true box of its label at IoU >= 0.5."""
    if not predicted and not truth:
        return 1.0
    free = list(truth)
    for instance in predicted:
        overlaps = [
            intersection_over_union(instance.box, other.box) if instance.label == other.label else 0.0 for other in free
        ]
        best = max(range(len(free)), key=overlaps.__getitem__, default=None)
        if best is not None and overlaps[best] >= 0.5:
            del free[best]
    return 2 * (len(truth) - len(free)) / (len(truth) + len(predicted))


def _average_precision(scored: Sequence[_Scored]) -> dict[str, float]:
    """Run the COCO evaluator; values that it cannot define (it says -1) are left out."""
    dataset, results = _coco_inputs(scored)
    if not results:
        # The evaluators refuse an empty result list; a box that no image has scores the same zeros.
        results = [{"image_id": 1, "category_id": 0, "bbox": [0.0, 0.0, 0.0, 0.0], "score": 1.0}]
    from faster_coco_eval import COCO, COCOeval_faster

    with silence():
        truth = COCO(dataset)
        evaluation = COCOeval_faster(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: float(evaluation.stats[position]) for name, position in _STATISTICS.items()}
    return {name: value for name, value in values.items() if value >= 0}


def _coco_inputs(scored: Sequence[_Scored]) -> tuple[dict[str, list[dict[str, object]]], list[dict[str, object]]]:
    """Return the truth as a COCO data set, and the predictions as COCO results with score 1."""
    labels = sorted({instance.label for image in scored for instance in (*image.truth, *image.predicted)})
    categories = {label: index for index, label in enumerate(labels, start=1)}
    annotations: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for image_id, image in enumerate(scored, start=1):
        for instance in image.truth:
            bbox = _xywh_pixels(instance.box, image.image_size)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": categories[instance.label],
                    "bbox": bbox,
                    "area": float(instance.mask.area_pixels) if instance.mask else bbox[2] * bbox[3],
                    "iscrowd": int(instance.is_crowd),
                }
            )
        for instance in image.predicted:
            bbox = _xywh_pixels(instance.box, image.image_size)
            category = categories[instance.label]
            results.append({"image_id": image_id, "category_id": category, "bbox": bbox, "score": 1.0})
    images: list[dict[str, object]] = [
        {"id": image_id, "height": image.image_size[0], "width": image.image_size[1]}
        for image_id, image in enumerate(scored, start=1)
    ]
    named: list[dict[str, object]] = [{"id": index, "name": label} for label, index in categories.items()]
    return {"images": images, "annotations": annotations, "categories": named}, results


def _xywh_pixels(box: Box, image_size: tuple[int, int]) -> list[float]:
    left, top, right, bottom = box.to_xyxy_pixels(image_size)
    return [left, top, right - left, bottom - top]
