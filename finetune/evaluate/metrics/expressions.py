"""How well the masks of referring expressions are drawn, by the original's rules, over a whole split."""

from collections.abc import Callable

from finetune.evaluate.metrics.referring import ExpressionScore, score_mask
from finetune.types import Instance, Prediction, Sample

OneTruth = Callable[[Sample], Instance | None]


class ReferringScores:
    """mIoU, cIoU, boxacc50, boxacc75, invalid and total.

    mIoU is the mean over expressions of the mask's IoU, cIoU all shared pixels over all joined ones; boxacc is the
    share of boxes with an IoU of at least 0.5 or 0.75. An invalid text counts as 0 in all of them.

    Args:
        truth: Reads the one true object out of a sample; None where it was not annotated.

    Source:
        big_vision evaluators/proj/paligemma/transfers/segmentation.py (0127fb6); cIoU is not among its scores.
    """

    def __init__(self, truth: OneTruth) -> None:
        self._truth = truth
        self._answers: list[ExpressionScore] = []

    def names(self) -> tuple[str, ...]:
        """Return all of them."""
        return ("mIoU", "cIoU", "boxacc50", "boxacc75", "invalid", "total")

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return the IoU of its mask."""
        truth = self._truth(sample)
        if truth is None:
            return None
        self._answers.append(_score(prediction.objects[0] if prediction.objects else None, truth))
        return self._answers[-1].mask_iou

    def compute(self) -> dict[str, float]:
        """Return the values by name; nothing where no sample had an annotated object."""
        answers = self._answers
        if not answers:
            return {}
        return {
            "mIoU": sum(one.mask_iou for one in answers) / len(answers),
            "cIoU": sum(one.shared_pixels for one in answers) / max(1, sum(one.union_pixels for one in answers)),
            "boxacc50": sum(one.box_iou >= 0.5 for one in answers) / len(answers),
            "boxacc75": sum(one.box_iou >= 0.75 for one in answers) / len(answers),
            "invalid": float(sum(not one.is_valid for one in answers)),
            "total": float(len(answers)),
        }


def _score(said: Instance | None, truth: Instance) -> ExpressionScore:
    assert truth.mask is not None, "the recipe gives the true object a mask"
    if said is None:
        return score_mask(None, None, truth.mask, truth.box)
    return score_mask(said.mask, said.box, truth.mask, truth.box)
