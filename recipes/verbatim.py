"""Say exactly what the data says: prefix and suffix come ready-made, as in PaliGemma's JSONL lines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from finetune.evaluate.metrics.answers import answer_metrics, check_answer_scores
from finetune.types import Example, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.wording import plain_text, say, truths


@dataclass(frozen=True, kw_only=True)
class Verbatim:
    """Ready-made prefix and suffix, for a task that no other recipe knows.

    Args:
        scores: Scores of the text against the suffix: vqa_accuracy, agreement, exact_match, ANLS,
            relaxed_accuracy, counting_accuracy, yes_no_accuracy. The first one is the score that reports show for a
            sample.
        lower_case: Whether scores ignore case; the text itself is left alone.
    """

    scores: list[str] = field(default_factory=lambda: ["exact_match", "ANLS"])
    lower_case: bool = False

    def __post_init__(self) -> None:
        check_answer_scores(self.scores)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say prefix and suffix."""
        if sample.suffix is None:
            raise missing_annotation(sample, "suffix")
        return say(sample, _prefix_of(sample), sample.suffix)

    def ask(self, sample: Sample) -> Example:
        """Say the prefix alone."""
        return say(sample, _prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample."""
        return None

    def reference(self, sample: Sample) -> str:
        """Return the suffix."""
        return "".join(_suffix_of(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Take the text as it is."""
        return plain_text(text, sample)

    def metrics(self) -> Mapping[str, Metric]:
        """Return the chosen scores."""
        return answer_metrics(self.scores, _suffix_of, lower_case=self.lower_case)


def _prefix_of(sample: Sample) -> str:
    if sample.prefix is None:
        raise missing_annotation(sample, "prefix")
    return sample.prefix


def _suffix_of(sample: Sample) -> Sequence[str]:
    return truths(sample, ())
