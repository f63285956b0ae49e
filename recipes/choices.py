"""The options of a multiple-choice question, and the right one."""

from collections.abc import Sequence

from finetune.types import Sample
from recipes.missing import missing_annotation
from recipes.object_lists import bad


def choices_of(sample: Sample) -> Sequence[str]:
    """Return the options, in the order of the data.

    Raises:
        BadSampleError: If there are none, or the answer is known and none of them.
    """
    if not sample.choices:
        raise missing_annotation(sample, "choices")
    if sample.answers and sample.answers[0] not in sample.choices:
        options = ", ".join(map(repr, sample.choices))
        message = f"the answer {sample.answers[0]!r} is none of the choices: {options}"
        raise bad(sample, "answers", "answer-not-a-choice", message)
    return sample.choices


def right_choice(sample: Sample) -> int:
    """Return the place of the right option: the first that reads as the answer does.

    Raises:
        BadSampleError: If there are no options, no answer, or the answer is none of the options.
    """
    choices = choices_of(sample)
    if not sample.answers:
        raise missing_annotation(sample, "answers")
    return choices.index(sample.answers[0])
