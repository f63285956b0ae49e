"""How well masks are drawn: COCO's average precision by mask, and the mean IoU of the true objects."""

from collections.abc import Sequence

import numpy as np

from finetune.evaluate.metrics.average_precision import (
    STATISTICS,
    Overlap,
    ScoredImage,
    Truth,
    average_precision,
    scored_image,
)
from finetune.masks import Mask, mask_overlaps
from finetune.types import Instance, Prediction, Sample

_PREFIX = "mask_"


class MaskScores:
    """mIoU, and COCO's average precision by mask: mask_mAP, mask_mAP50, …, mask_recall.

    mIoU is this project's: the mean over all true objects of a split, crowds aside, of the IoU with the predicted mask
    of the same label that is paired with it, 0 where none is. In an image, pairs are made best IoU first, each object
    and each prediction once. So an object that is missed counts as 0, and one that is invented lowers average precision
    alone.

    Args:
        truth: Reads the true objects out of a sample, with masks but for crowds; None where they were not annotated.
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._scored: list[ScoredImage] = []
        self._overlaps: list[float] = []

    def names(self) -> tuple[str, ...]:
        """Return all of them, those that a split without objects of some size lacks included."""
        return ("mIoU", *(_PREFIX + name for name in STATISTICS))

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return the mean IoU of its sample's objects; None where it has none."""
        truth = self._truth(sample)
        if truth is None:
            return None
        self._scored.append(scored_image(prediction, sample, truth))
        overlaps = paired_overlaps(prediction.objects, [one for one in truth if not one.is_crowd])
        self._overlaps += overlaps
        return sum(overlaps) / len(overlaps) if overlaps else None

    def compute(self) -> dict[str, float]:
        """Return the values by name; nothing where no sample had annotated objects."""
        if not self._scored:
            return {}
        by_mask = average_precision(self._scored, Overlap.masks)
        mean = {"mIoU": sum(self._overlaps) / len(self._overlaps)} if self._overlaps else {}
        return mean | {_PREFIX + name: value for name, value in by_mask.items()}


def paired_overlaps(predicted: Sequence[Instance], truth: Sequence[Instance]) -> list[float]:
    """Return for each true object the IoU with the predicted one of its label that is paired with it, 0 for none."""
    overlaps = [0.0] * len(truth)
    iou = mask_overlaps([_mask_of(one) for one in predicted], [_mask_of(one) for one in truth])
    is_same = np.array([[said.label == true.label for true in truth] for said in predicted], dtype=bool)
    open_pairs = np.where(is_same.reshape(iou.shape), iou, 0.0)
    while open_pairs.size and open_pairs.max() > 0:
        said, true = np.unravel_index(open_pairs.argmax(), open_pairs.shape)
        overlaps[true] = float(open_pairs[said, true])
        open_pairs[said, :] = 0.0
        open_pairs[:, true] = 0.0
    return overlaps


def _mask_of(instance: Instance) -> Mask:
    assert instance.mask is not None, "the recipe gives every object a mask"
    return instance.mask
