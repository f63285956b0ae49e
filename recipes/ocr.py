"""Read the text in the image: prefix `ocr`, suffix the text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.evaluate.metrics.answers import answer_metrics
from finetune.evaluate.metrics.text import ErrorRates
from finetune.tokens.template import check_template
from finetune.types import Example, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.wording import plain_text, ready_made, say, truths


@dataclass(frozen=True, kw_only=True)
class Ocr:
    """All text of an image, in the order of the annotation.

    Text that the data brings ready-made (prefix, suffix) is used as it is.

    Args:
        prefix: What the model is asked; it has no placeholders.
    """

    prefix: str = "ocr"

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ())

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say the prefix and the text."""
        suffix = sample.suffix if sample.suffix is not None else sample.text
        if suffix is None:
            raise missing_annotation(sample, "text")
        return say(sample, self._prefix_of(sample), suffix, notes=ready_made(sample))

    def ask(self, sample: Sample) -> Example:
        """Say the prefix alone."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample."""
        return None

    def reference(self, sample: Sample) -> str:
        """Return the text."""
        return "".join(_text_of(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Take the text as it is."""
        return plain_text(text, sample)

    def metrics(self) -> Mapping[str, Metric]:
        """Return ANLS, the exact match, and the character and word error rates."""
        return {**answer_metrics(("ANLS", "exact_match"), _text_of), "error_rates": ErrorRates(_text_of)}

    def _prefix_of(self, sample: Sample) -> str:
        return sample.prefix if sample.prefix is not None else self.prefix.format()


def _text_of(sample: Sample) -> Sequence[str]:
    return truths(sample, () if sample.text is None else (sample.text,))
