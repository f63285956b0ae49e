"""Answer a question about the image: prefix `answer en {question}`, suffix one of the answers."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from finetune.data.division import Parts
from finetune.evaluate.metrics.answers import answer_metrics, check_answer_scores
from finetune.evaluate.metrics.categories import check_categories
from finetune.tokens.template import check_template, uses
from finetune.types import Example, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.turns import in_turn
from recipes.wording import plain_text, ready_made, say, truths


class AnswerChoice(Enum):
    """Which of several answers is trained on.

    A new draw each time; the most frequent one (the first of equals); or each in turn, so that all come before any
    comes again, as the original chooses without replacement.
    """

    random = "random"
    majority = "majority"
    cycle = "cycle"


@dataclass(frozen=True, kw_only=True)
class Vqa:
    """One answer to a question.

    Text that the data brings ready-made (prefix, suffix) is used as it is.

    Args:
        prefix: What the model is asked; {language} and {question} are filled in.
        language: Code of the questions' language, such as "en", where a sample does not say its own.
        answer: Which of several answers is trained on.
        use_all_answers: Whether each answer to a question is an example of its own, as often as it was given, so that
            an epoch has all of them; with data.keep_images_together, those to one question cost little more than one.
        lower_case: Whether answers are lowered, in training and on both sides of the scores.
        ignore_case: Whether the scores alone are of lowered texts; what is trained on is left as it is.
        scores: Of vqa_accuracy (official VQAv2), agreement (the original's `acc`: min(1, matches / 3)), exact_match
            (any answer), ANLS, relaxed_accuracy (ChartQA), counting_accuracy (TallyQA) and yes_no_accuracy with
            valid_share (POPE). The first one is what reports show for a sample.
        categories: Kinds of samples that scores are told apart by and averaged over; none: one score for all.
    """

    prefix: str = "answer {language} {question}"
    language: str = "en"
    answer: AnswerChoice = AnswerChoice.random
    use_all_answers: bool = False
    lower_case: bool = False
    ignore_case: bool = False
    scores: list[str] = field(default_factory=lambda: ["vqa_accuracy", "exact_match", "ANLS"])
    categories: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ("language", "question"))
        if not uses(self.prefix, "question"):
            raise ValueError(f"prefix {self.prefix!r} asks no question: write {{question}} where it belongs")
        if self.language != Vqa.language and not uses(self.prefix, "language"):
            raise ValueError(f"language={self.language} has no effect: prefix {self.prefix!r} has no {{language}}")
        if self.use_all_answers and self.answer is not AnswerChoice.random:
            raise ValueError(f"use_all_answers=true and answer={self.answer.name} contradict each other: choose one")
        if self.lower_case and self.ignore_case:
            raise ValueError("ignore_case=true has no effect: lower_case=true lowers what is scored, too; choose one")
        check_answer_scores(self.scores)
        check_categories(self.categories)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say the question and one answer."""
        suffix = sample.suffix if sample.suffix is not None else self._draw(sample, rng)
        return say(sample, self._prefix_of(sample), suffix, notes=ready_made(sample))

    def ask(self, sample: Sample) -> Example:
        """Say the question alone."""
        return say(sample, self._prefix_of(sample))

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample."""
        return None

    def training_division(self) -> Parts | None:
        """Return what makes one sample of each answer, if that is wanted."""
        return each_answer if self.use_all_answers else None

    def reference(self, sample: Sample) -> str:
        """Return the different answers, in their order."""
        return " / ".join(dict.fromkeys(_answers_of(sample)))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Take the text as it is."""
        return plain_text(text, sample)

    def metrics(self) -> Mapping[str, Metric]:
        """Return the chosen scores."""
        lowered = self.lower_case or self.ignore_case
        return answer_metrics(self.scores, _answers_of, lower_case=lowered, categories=self.categories)

    def _prefix_of(self, sample: Sample) -> str:
        if sample.prefix is not None:
            return sample.prefix
        if sample.question is None:
            raise missing_annotation(sample, "question")
        return self.prefix.format(language=sample.language or self.language, question=sample.question)

    def _draw(self, sample: Sample, rng: np.random.Generator) -> str:
        if not sample.answers:
            raise missing_annotation(sample, "answers")
        if self.answer is AnswerChoice.majority:
            answer = Counter(sample.answers).most_common(1)[0][0]
        elif self.answer is AnswerChoice.cycle:
            answer = in_turn(sample.answers, sample)
        else:
            answer = sample.answers[int(rng.integers(len(sample.answers)))]
        return answer.lower() if self.lower_case else answer


def each_answer(sample: Sample) -> tuple[Sample, ...]:
    """Return a sample for each answer; text that the data brings ready-made stays as it is."""
    if sample.suffix is not None or not sample.answers:
        return (sample,)
    return tuple(
        replace(sample, sample_id=f"{sample.sample_id}/{number}", answers=(answer,))
        for number, answer in enumerate(sample.answers)
    )


def _answers_of(sample: Sample) -> Sequence[str]:
    return truths(sample, sample.answers)
