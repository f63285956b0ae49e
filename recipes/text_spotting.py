"""Find and read words: prefix `ocr`, suffix `<loc0100><loc0200><loc0300><loc0400> ONE ; <loc…> WAY`.

What stands between two boxes is the word of the first, so that words may hold semicolons.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np

from finetune.evaluate.metrics.spotting import SpottingScores
from finetune.settings import at_least
from finetune.tokens.location import BOX_PATTERN, box_of_match, has_extent
from finetune.tokens.objects import format_objects
from finetune.tokens.template import check_template
from finetune.types import Example, Instance, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.wording import ready_made, say

_BOX = re.compile(BOX_PATTERN)


class WordOrder(Enum):
    """How words follow one another: from top to bottom and left to right, as in the data, or newly drawn each time."""

    raster = "raster"
    annotated = "annotated"
    random = "random"


@dataclass(frozen=True, kw_only=True)
class TextSpotting:
    """Words with their boxes. Those that nobody could read (crowds) are never said, and excuse words found there.

    Text that the data brings ready-made (prefix, suffix) is used as it is; its words are then the truth.

    Args:
        prefix: What the model is asked; it has no placeholders.
        word_order: How words follow one another in the suffix.
        max_words: Keep the first so many of that order and count the others; None: keep all.
    """

    prefix: str = "ocr"
    word_order: WordOrder = WordOrder.raster
    max_words: int | None = None

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ())
        if self.max_words is not None:
            at_least("max_words", self.max_words, 1)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say the prefix and the words."""
        if sample.suffix is not None:
            return say(sample, self._prefix_of(sample), sample.suffix, notes=ready_made(sample))
        if sample.instances is None:
            raise missing_annotation(sample, "boxes")
        readable = [word for word in sample.instances if not word.is_crowd]
        visible = [word for word in readable if has_extent(word.box)]
        kept = _ordered(visible, self.word_order, rng)[: self.max_words]
        counts = {
            "unreadable words left out": len(sample.instances) - len(readable),
            "words thinner than a location bin": len(readable) - len(visible),
            "words over the limit": len(visible) - len(kept),
        }
        notes = ready_made(sample) | {note: count for note, count in counts.items() if count}
        return say(sample, self._prefix_of(sample), format_objects(kept), notes=notes)

    def ask(self, sample: Sample) -> Example:
        """Say the prefix alone."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample, those without a word too."""
        return None

    def reference(self, sample: Sample) -> str:
        """Return the true words as the model would say them, in the order of the annotation."""
        if sample.suffix is not None:
            return sample.suffix
        return format_objects([word for word in sample.instances or () if not word.is_crowd])

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Read the words out of the text; a box that is none, or has no word, is malformed."""
        objects, num_malformed = _parse(text)
        return Prediction(sample_id=sample.sample_id, text=text, objects=objects, num_malformed=num_malformed)

    def metrics(self) -> Mapping[str, Metric]:
        """Return HierText's precision, recall and F1 of words."""
        return {"spotting": SpottingScores(_truth_of)}

    def _prefix_of(self, sample: Sample) -> str:
        return sample.prefix if sample.prefix is not None else self.prefix.format()


def _truth_of(sample: Sample) -> Sequence[Instance] | None:
    return sample.instances if sample.suffix is None else _parse(sample.suffix)[0]


def _parse(text: str) -> tuple[tuple[Instance, ...], int]:
    """Return the words of a text, and how many of its parts were none."""
    matches = list(_BOX.finditer(text))
    if not matches:
        return (), int(bool(text.strip()))
    inner = [text[match.end() : later.start()] for match, later in pairwise(matches)]
    # A separator stands between words, and behind the last one where the text was cut off.
    labels = [rest.rstrip().removesuffix(";") for rest in inner]
    labels.append(text[matches[-1].end() :].strip().removesuffix(" ;"))
    found = [_word(match, label.strip()) for match, label in zip(matches, labels, strict=True)]
    words = tuple(word for word in found if word is not None)
    begins_otherwise = bool(text[: matches[0].start()].strip())
    return words, len(found) - len(words) + begins_otherwise


def _word(match: re.Match[str], label: str) -> Instance | None:
    box = box_of_match(match)
    return Instance(label=label, box=box) if box is not None and label and "<loc" not in label else None


def _ordered(words: list[Instance], order: WordOrder, rng: np.random.Generator) -> list[Instance]:
    match order:
        case WordOrder.raster:
            return sorted(words, key=lambda word: (word.box.top, word.box.left))
        case WordOrder.annotated:
            return words
        case WordOrder.random:
            return [words[index] for index in rng.permutation(len(words))]
