"""Yes or no: how often the answer is right, and how often it is an answer at all."""

from finetune.evaluate.metrics.mean import MeanScore, References
from finetune.types import Prediction, Sample


class YesNoScores:
    """`yes_no_accuracy`, the share of texts that equal the reference, and `valid_share`, of those that say yes or no.

    The text is lowered, the reference is not (unless `lower_case` is set); nothing is stripped, so that "yes." is not
    valid.

    Source:
        big_vision evaluators/proj/paligemma/transfers/pope.py (0127fb6), `acc` and `valid_percent`, which is a share,
        too.
    """

    def __init__(self, references: References, *, lower_case: bool = False) -> None:
        self._accuracy = MeanScore(
            "yes_no_accuracy", lambda text, truths: float(text.lower() in truths), references, lower_case=lower_case
        )
        self._valid = MeanScore("valid_share", lambda text, _: float(text.lower() in ("yes", "no")), references)

    def names(self) -> tuple[str, ...]:
        """Return both."""
        return (*self._accuracy.names(), *self._valid.names())

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction; return 1 where it is right, else 0."""
        self._valid.update(prediction, sample)
        return self._accuracy.update(prediction, sample)

    def compute(self) -> dict[str, float]:
        """Return both shares; nothing where no sample had a reference."""
        return {**self._accuracy.compute(), **self._valid.compute()}
