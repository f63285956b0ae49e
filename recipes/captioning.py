"""Describe the image: prefix `caption en`, suffix one of its captions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial

import numpy as np

from finetune.data.division import Parts
from finetune.evaluate.metrics.answers import answer_metrics
from finetune.evaluate.metrics.captioning import CaptionScores
from finetune.evaluate.metrics.categories import check_categories, told_apart
from finetune.tokens.template import check_template, uses
from finetune.types import Example, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.turns import in_turn
from recipes.wording import plain_text, ready_made, say, truths


class CaptionChoice(Enum):
    """Which of several captions is trained on: a new draw each time, or each in turn, all before any comes again."""

    random = "random"
    cycle = "cycle"


@dataclass(frozen=True, kw_only=True)
class Captioning:
    """One caption of an image where there are several, or all of them.

    Text that the data brings ready-made (prefix, suffix) is used as it is.

    Args:
        prefix: What the model is asked; {language} is filled in.
        language: Code of the captions' language, such as "en", where a sample does not say its own.
        caption: Which of several captions is trained on.
        lower_case: Whether captions are lowered, as the original does for TextCaps.
        use_all_captions: Whether each caption of an image is an example of its own, so that an epoch has all of them;
            with data.keep_images_together, those of one image cost little more than one.
        categories: Kinds of samples, such as languages, that scores are told apart by and averaged over; none: one
            score for all.
    """

    prefix: str = "caption {language}"
    language: str = "en"
    caption: CaptionChoice = CaptionChoice.random
    lower_case: bool = False
    use_all_captions: bool = False
    categories: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ("language",))
        if self.language != Captioning.language and not uses(self.prefix, "language"):
            raise ValueError(f"language={self.language} has no effect: prefix {self.prefix!r} has no {{language}}")
        if self.use_all_captions and self.caption is not CaptionChoice.random:
            raise ValueError(f"use_all_captions=true and caption={self.caption.name} contradict each other: choose one")
        check_categories(self.categories)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say the prefix and one caption."""
        suffix = sample.suffix if sample.suffix is not None else self._draw(sample, rng)
        return say(sample, self._prefix_of(sample), suffix, notes=ready_made(sample))

    def ask(self, sample: Sample) -> Example:
        """Say the prefix alone."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample."""
        return None

    def training_division(self) -> Parts | None:
        """Return what makes one sample of each caption, if that is wanted."""
        return each_caption if self.use_all_captions else None

    def reference(self, sample: Sample) -> str:
        """Return all captions."""
        return " / ".join(_captions_of(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Take the text as it is."""
        return plain_text(text, sample)

    def metrics(self) -> Mapping[str, Metric]:
        """Return CIDEr, BLEU and ROUGE-L, and the share of captions that equal a reference, letter by letter."""
        captioning = told_apart(partial(CaptionScores, _captions_of), self.categories)
        exact = answer_metrics(("exact_match",), _captions_of, categories=self.categories)
        return {"captioning": captioning, **exact}

    def _prefix_of(self, sample: Sample) -> str:
        if sample.prefix is not None:
            return sample.prefix
        return self.prefix.format(language=sample.language or self.language)

    def _draw(self, sample: Sample, rng: np.random.Generator) -> str:
        if not sample.captions:
            raise missing_annotation(sample, "captions")
        if self.caption is CaptionChoice.cycle:
            caption = in_turn(sample.captions, sample)
        else:
            caption = sample.captions[int(rng.integers(len(sample.captions)))]
        return caption.lower() if self.lower_case else caption


def each_caption(sample: Sample) -> tuple[Sample, ...]:
    """Return a sample for each caption; text that the data brings ready-made stays as it is."""
    if sample.suffix is not None or not sample.captions:
        return (sample,)
    return tuple(
        replace(sample, sample_id=f"{sample.sample_id}/{number}", captions=(caption,))
        for number, caption in enumerate(sample.captions)
    )


def _captions_of(sample: Sample) -> Sequence[str]:
    return truths(sample, sample.captions)
