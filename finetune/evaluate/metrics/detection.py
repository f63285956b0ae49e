"""COCO's average precision of labelled boxes, and how well-formed the texts were that named them."""

from collections.abc import Sequence

from finetune.evaluate.metrics.average_precision import (
    STATISTICS,
    Overlap,
    ScoredImage,
    Truth,
    average_precision,
    scored_image,
)
from finetune.geometry import intersection_over_union
from finetune.types import Instance, Prediction, Sample


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
        self._scored: list[ScoredImage] = []

    def names(self) -> tuple[str, ...]:
        """Return all of them, those that a split without objects of some size lacks included."""
        return (*STATISTICS, "malformed", "boxes_per_image")

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return its F1 at an IoU of 0.5, crowds aside."""
        truth = self._truth(sample)
        if truth is None:
            return None
        self._scored.append(scored_image(prediction, sample, truth))
        return f1_at_half(prediction.objects, [instance for instance in truth if not instance.is_crowd])

    def compute(self) -> dict[str, float]:
        """Return the values by name; nothing where no sample had annotated objects."""
        if not self._scored:
            return {}
        num_images = len(self._scored)
        return {
            **average_precision(self._scored, Overlap.boxes),
            "malformed": sum(image.num_malformed > 0 for image in self._scored) / num_images,
            "boxes_per_image": sum(len(image.predicted) for image in self._scored) / num_images,
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
