"""Choose among options by their letter: suffix `The answer is B.`, after a prefix of four lines.

Question: Which is an insect?
Context: N/A
Options: (A) the spider, (B) the ant
Answer:
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_uppercase

import numpy as np

from finetune.evaluate.metrics.categories import check_categories
from finetune.evaluate.metrics.letters import letter_metrics
from finetune.tokens.template import check_template, uses
from finetune.types import Example, Metric, Prediction, Sample
from recipes.choices import choices_of, right_choice
from recipes.missing import missing_annotation
from recipes.object_lists import bad
from recipes.wording import plain_text, ready_made, say

_NO_CONTEXT = "N/A"


@dataclass(frozen=True, kw_only=True)
class ScienceQa:
    """Question, context and lettered options; the answer is the letter of the right one.

    Text that the data brings ready-made (prefix, suffix) is used as it is; then options are not shuffled.

    Args:
        prefix: What the model is asked; {question}, {context} and {choices} are filled in.
        shuffle_choices: Whether options are put in a new order each time a sample is trained on, so that no letter is
            learnt by heart. In an evaluation they keep that of the data.
        categories: Kinds of samples that scores are told apart by and averaged over; none: one score for all.

    Source:
        big_vision configs/proj/paligemma/transfers/science_qa.py, format QCM -> A, and
        pp/proj/paligemma/sciqa_ops.py (0127fb6); lupantech/ScienceQA, models/base_prompt.py.
    """

    prefix: str = "Question: {question}\nContext: {context}\nOptions: {choices}\nAnswer:"
    shuffle_choices: bool = True
    categories: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ("question", "context", "choices"))
        for name in ("question", "choices"):
            if not uses(self.prefix, name):
                raise ValueError(f"prefix {self.prefix!r} does not show the {name}: write {{{name}}} where they belong")
        check_categories(self.categories)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say the question, with options in the order of this time, and the letter of the right one."""
        if sample.suffix is not None:
            return say(sample, self._prefix_of(sample), sample.suffix, notes=ready_made(sample))
        shown = _shuffled(sample, rng) if self.shuffle_choices and sample.prefix is None else sample
        return say(sample, self._prefix_of(shown), _answer_of(shown), notes=ready_made(sample))

    def ask(self, sample: Sample) -> Example:
        """Say the question alone, with options in the order of the data."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample."""
        return None

    def reference(self, sample: Sample) -> str:
        """Return the answer as the model would say it, or nothing where it is hidden."""
        return "".join(_truth_of(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Take the text as it is."""
        return plain_text(text, sample)

    def metrics(self) -> Mapping[str, Metric]:
        """Return the share of right letters, and that of texts without one."""
        return letter_metrics(_truth_of, self.categories)

    def _prefix_of(self, sample: Sample) -> str:
        if sample.prefix is not None:
            return sample.prefix
        if sample.question is None:
            raise missing_annotation(sample, "question")
        lettered = zip(_letters_of(sample), sample.choices, strict=True)
        return self.prefix.format(
            question=sample.question,
            context=sample.context or _NO_CONTEXT,
            choices=", ".join(f"({letter}) {choice}" for letter, choice in lettered),
        )


def _shuffled(sample: Sample, rng: np.random.Generator) -> Sample:
    order = rng.permutation(len(sample.choices))
    return replace(sample, choices=tuple(sample.choices[place] for place in order))


def _truth_of(sample: Sample) -> Sequence[str]:
    if sample.suffix is not None:
        return (sample.suffix,)
    # What is no row of choices has been refused when it was asked about, unless its prefix came ready-made.
    is_annotated = bool(sample.answers) and sample.answers[0] in sample.choices[: len(ascii_uppercase)]
    return (_answer_of(sample),) if is_annotated else ()


def _answer_of(sample: Sample) -> str:
    return f"The answer is {ascii_uppercase[right_choice(sample)]}."


def _letters_of(sample: Sample) -> str:
    count = len(choices_of(sample))
    if count > len(ascii_uppercase):
        raise bad(sample, "choices", "too-many-choices", f"{count} choices are more than there are letters")
    return ascii_uppercase[:count]
