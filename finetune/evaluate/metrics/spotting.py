"""Word spotting: which words were found where they are, and read right."""

from collections.abc import Callable, Sequence

from finetune.geometry import Box, intersection_over_union
from finetune.types import Instance, Prediction, Sample

Words = Callable[[Sample], Sequence[Instance] | None]


class SpottingScores:
    """F1, precision and recall of words over all samples, and malformed: the share of texts with a part that is none.

    A true word and a predicted one match if each is the other's best by IoU, at 0.5 at least; letter for letter they
    must be the same. Predictions of which half or more lies on one region that nobody could read (a crowd) do not
    count. Samples without annotated words are left out.

    Args:
        words: Reads the true words out of a sample, labelled by their text; None where they were not annotated.

    Source:
        google-research-datasets/hiertext, evaluator/evaluator.py (end-to-end, words); boxes stand for its polygons.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._num_right = self._num_predicted = self._num_true = self._num_malformed = self._num_samples = 0

    def names(self) -> tuple[str, ...]:
        """Return the four names."""
        return "F1", "precision", "recall", "malformed"

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction and return its F1."""
        words = self._words(sample)
        if words is None:
            return None
        true = [word for word in words if not word.is_crowd]
        unreadable = [word.box for word in words if word.is_crowd]
        predicted = [word for word in prediction.objects if all(_share_on(word.box, box) < 0.5 for box in unreadable)]
        num_right = _count_right(predicted, true)
        self._num_right += num_right
        self._num_predicted += len(predicted)
        self._num_true += len(true)
        self._num_malformed += prediction.num_malformed > 0
        self._num_samples += 1
        return _f1(*_rates(num_right, len(predicted), len(true)))

    def compute(self) -> dict[str, float]:
        """Return the values by name; nothing where no sample had annotated words."""
        if not self._num_samples:
            return {}
        precision, recall = _rates(self._num_right, self._num_predicted, self._num_true)
        malformed = self._num_malformed / self._num_samples
        return {"F1": _f1(precision, recall), "precision": precision, "recall": recall, "malformed": malformed}


def _count_right(predicted: Sequence[Instance], true: Sequence[Instance]) -> int:
    if not predicted or not true:
        return 0
    overlaps = [[intersection_over_union(word.box, other.box) for other in predicted] for word in true]
    best_true = [max(range(len(true)), key=lambda row: overlaps[row][column]) for column in range(len(predicted))]
    num_right = 0
    for row, word in enumerate(true):
        column = max(range(len(predicted)), key=overlaps[row].__getitem__)
        matches = overlaps[row][column] >= 0.5 and best_true[column] == row
        num_right += matches and predicted[column].label == word.label
    return num_right


def _rates(num_right: int, num_predicted: int, num_true: int) -> tuple[float, float]:
    """Return precision and recall: 1 where there was nothing to get wrong."""
    return num_right / num_predicted if num_predicted else 1.0, num_right / num_true if num_true else 1.0


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share_on(box: Box, region: Box) -> float:
    """Return the share of a box that lies on a region."""
    height = min(box.bottom, region.bottom) - max(box.top, region.top)
    width = min(box.right, region.right) - max(box.left, region.left)
    return max(0.0, height) * max(0.0, width) / box.area if box.area else 0.0
