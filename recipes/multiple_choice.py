"""Choose among options by repeating one: prefix `answer en  {question} choose from: cat \\t dog`, suffix `dog`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from finetune.evaluate.metrics.answers import answer_metrics, check_answer_scores
from finetune.evaluate.metrics.categories import check_categories
from finetune.tokens.template import check_template, uses
from finetune.types import Example, Metric, Prediction, Sample
from recipes.choices import choices_of, right_choice
from recipes.missing import missing_annotation
from recipes.wording import plain_text, ready_made, say, truths


@dataclass(frozen=True, kw_only=True)
class MultipleChoice:
    """The text of the right option, which the prefix shows among the others, in the order of the data.

    Text that the data brings ready-made (prefix, suffix) is used as it is.

    Args:
        prefix: What the model is asked; {language}, {question} and {choices} are filled in. The original has two spaces
            before the question.
        separator: What stands between options; the original has a tabulator between spaces.
        language: Code of the questions' language, such as "en", where a sample does not say its own.
        lower_case: Whether scores ignore case. The text is left alone: the model sees how options are written.
        scores: As of `recipes.vqa.Vqa`.
        categories: Kinds of samples that scores are told apart by and averaged over; none: one score for all.

    Source:
        big_vision configs/proj/paligemma/transfers/aokvqa_mc.py and ai2d.py (0127fb6).
    """

    prefix: str = "answer {language}  {question} choose from: {choices}"
    separator: str = " \t "
    language: str = "en"
    lower_case: bool = False
    scores: list[str] = field(default_factory=lambda: ["exact_match"])
    categories: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ("language", "question", "choices"))
        for name in ("question", "choices"):
            if not uses(self.prefix, name):
                raise ValueError(f"prefix {self.prefix!r} does not show the {name}: write {{{name}}} where they belong")
        if self.language != MultipleChoice.language and not uses(self.prefix, "language"):
            raise ValueError(f"language={self.language} has no effect: prefix {self.prefix!r} has no {{language}}")
        check_answer_scores(self.scores)
        check_categories(self.categories)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say question and options, and the right option."""
        suffix = sample.suffix if sample.suffix is not None else sample.choices[right_choice(sample)]
        return say(sample, self._prefix_of(sample), suffix, notes=ready_made(sample))

    def ask(self, sample: Sample) -> Example:
        """Say question and options alone."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample."""
        return None

    def reference(self, sample: Sample) -> str:
        """Return the right option, or nothing where it is hidden."""
        return "".join(_right_of(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Take the text as it is."""
        return plain_text(text, sample)

    def metrics(self) -> Mapping[str, Metric]:
        """Return the chosen scores."""
        return answer_metrics(self.scores, _right_of, lower_case=self.lower_case, categories=self.categories)

    def _prefix_of(self, sample: Sample) -> str:
        if sample.prefix is not None:
            return sample.prefix
        if sample.question is None:
            raise missing_annotation(sample, "question")
        return self.prefix.format(
            language=sample.language or self.language,
            question=sample.question,
            choices=self.separator.join(choices_of(sample)),
        )


def _right_of(sample: Sample) -> Sequence[str]:
    return truths(sample, sample.answers[:1])
