"""The options of a multiple-choice question."""

from dataclasses import replace

import pytest

from finetune.types import BadSampleError, Sample
from recipes.choices import choices_of, right_choice

SAMPLE = Sample(sample_id="7", origin="a.json:3", images=(), question="q", choices=("cat", "dog"), answers=("dog",))


def test_the_right_option_is_the_one_that_reads_as_the_answer_does() -> None:
    assert choices_of(SAMPLE) == ("cat", "dog")
    assert right_choice(SAMPLE) == 1
    assert right_choice(replace(SAMPLE, choices=("cat", "dog", "dog"))) == 1


def test_a_sample_without_choices_is_refused_with_what_it_offers() -> None:
    with pytest.raises(BadSampleError, match=r"a.json:3: choices: .* question and answers \(recipe=vqa\)") as refusal:
        choices_of(replace(SAMPLE, choices=()))
    assert refusal.value.code == "missing-choices"


@pytest.mark.parametrize("read", [choices_of, right_choice])
def test_an_answer_that_is_no_choice_is_refused(read: object) -> None:
    with pytest.raises(BadSampleError, match="the answer 'Dog' is none of the choices: 'cat', 'dog'") as refusal:
        read(replace(SAMPLE, answers=("Dog",)))  # type: ignore[operator]
    assert refusal.value.code == "answer-not-a-choice"


def test_choices_can_be_shown_while_the_answer_is_hidden() -> None:
    hidden = replace(SAMPLE, answers=())
    assert choices_of(hidden) == ("cat", "dog")
    with pytest.raises(BadSampleError, match="missing-answers"):
        right_choice(hidden)
