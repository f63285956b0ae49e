"""Read the text in the image: prefix `ocr`, suffix the text."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from finetune.evaluate.metrics.answers import ANSWER_SCORES, answer_metrics
from finetune.evaluate.metrics.music import KernErrorRates
from finetune.evaluate.metrics.text import ErrorRates
from finetune.tokens.template import check_template
from finetune.types import Example, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.wording import plain_text, ready_made, say, truths

_RATES: dict[str, type[ErrorRates] | type[KernErrorRates]] = {
    "error_rates": ErrorRates,
    "kern_error_rates": KernErrorRates,
}


@dataclass(frozen=True, kw_only=True)
class Ocr:
    """All text of an image, in the order of the annotation.

    Text that the data brings ready-made (prefix, suffix) is used as it is.

    Args:
        prefix: What the model is asked; it has no placeholders.
        scores: Scores of the text: those of answers, error_rates (by character and word), and kern_error_rates (by
            character, symbol and line of music). The first one is the score that reports show for a sample.
    """

    prefix: str = "ocr"
    scores: list[str] = field(default_factory=lambda: ["ANLS", "exact_match", "error_rates"])

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ())
        known = (*ANSWER_SCORES, *_RATES)
        unknown = [name for name in self.scores if name not in known]
        if unknown or not self.scores:
            raise ValueError(f"scores must name some of {', '.join(known)}, got {', '.join(unknown) or 'none'}")

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
        """Return the chosen scores."""
        answers = answer_metrics([name for name in self.scores if name not in _RATES], _text_of)
        return {name: _RATES[name](_text_of) if name in _RATES else answers[name] for name in self.scores}

    def _prefix_of(self, sample: Sample) -> str:
        return sample.prefix if sample.prefix is not None else self.prefix.format()


def _text_of(sample: Sample) -> Sequence[str]:
    return truths(sample, () if sample.text is None else (sample.text,))
