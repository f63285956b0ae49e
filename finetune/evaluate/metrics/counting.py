"""How often a count is right, over all counts and for each."""

from collections.abc import Sequence

from finetune.evaluate.metrics.mean import MeanScore, References
from finetune.types import Prediction, Sample

LARGEST_COUNT = 15
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_NUMERALS = {"none": "0", **{word: str(count) for count, word in enumerate(_WORDS)}}
_NAME = "counting_accuracy"


class CountingScores:
    """`counting_accuracy`, and `counting_accuracy/count_0` to `counting_accuracy/count_15` over samples of that truth.

    Number words count as numerals where they are the whole text; otherwise text and truth must be equal. Larger truths
    are in the accuracy alone.

    Source:
        big_vision evaluators/proj/paligemma/transfers/tallyqa.py (0127fb6), which fails on larger truths.
    """

    def __init__(self, references: References, *, lower_case: bool = False) -> None:
        self._references = references
        self._lower_case = lower_case
        self._all = self._mean(_NAME)
        self._by_count = {str(count): self._mean(f"{_NAME}/count_{count}") for count in range(LARGEST_COUNT + 1)}

    def names(self) -> tuple[str, ...]:
        """Return the accuracy and those of each count."""
        return tuple(name for metric in (self._all, *self._by_count.values()) for name in metric.names())

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction; return 1 where it is right, else 0."""
        for truth in set(map(numeral, self._references(sample))):
            if truth in self._by_count:
                self._by_count[truth].update(prediction, sample)
        return self._all.update(prediction, sample)

    def compute(self) -> dict[str, float]:
        """Return the accuracies by name, without counts that no truth had."""
        metrics = (self._all, *self._by_count.values())
        return {name: value for metric in metrics for name, value in metric.compute().items()}

    def _mean(self, name: str) -> MeanScore:
        return MeanScore(name, counting_match, self._references, lower_case=self._lower_case)


def counting_match(text: str, references: Sequence[str]) -> float:
    """Return 1 if the text says the same count as a reference, else 0."""
    return float(numeral(text) in map(numeral, references))


def numeral(text: str) -> str:
    """Return the numeral of a number word (none, and zero to twenty, in any case), or the text as it is."""
    return _NUMERALS.get(text.lower(), text)
