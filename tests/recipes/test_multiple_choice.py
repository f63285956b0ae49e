"""Multiple choice by the option's text."""

from dataclasses import replace

import numpy as np
import pytest

from finetune.types import BadSampleError, Sample
from recipes.multiple_choice import MultipleChoice

SAMPLE = Sample(
    sample_id="7",
    origin="a.json:3",
    images=(),
    question="What is it?",
    choices=("a cat", "a dog", "{x}"),
    answers=("a dog",),
)
RNG = np.random.default_rng(0)


def test_the_prefix_has_the_originals_two_spaces_and_tabulators_and_the_suffix_is_the_options_text() -> None:
    example = MultipleChoice().encode(SAMPLE, RNG)
    assert example.prefix == "answer en  What is it? choose from: a cat \t a dog \t {x}"
    assert example.suffix == "a dog"
    assert MultipleChoice().ask(SAMPLE).prefix == example.prefix
    assert MultipleChoice().ask(SAMPLE).suffix == ""


def test_options_keep_their_order_each_time() -> None:
    assert len({MultipleChoice().encode(SAMPLE, np.random.default_rng(seed)).prefix for seed in range(20)}) == 1


def test_a_sample_may_have_a_language_of_its_own() -> None:
    assert MultipleChoice().ask(replace(SAMPLE, language="fr")).prefix.startswith("answer fr  What")
    assert MultipleChoice(language="de").ask(SAMPLE).prefix.startswith("answer de  What")


def test_a_hidden_answer_can_be_asked_for_but_not_trained_on() -> None:
    hidden = replace(SAMPLE, answers=())
    assert MultipleChoice().ask(hidden).prefix == MultipleChoice().ask(SAMPLE).prefix
    assert MultipleChoice().reference(hidden) == ""
    assert MultipleChoice().metrics()["exact_match"].update(MultipleChoice().decode("a dog", hidden), hidden) is None
    with pytest.raises(BadSampleError, match="missing-answers"):
        MultipleChoice().encode(hidden, RNG)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"choices": ()}, "missing-choices"),
        ({"question": None}, "missing-question"),
        ({"answers": ("a bird",)}, "answer-not-a-choice"),
    ],
)
def test_what_is_missing_or_wrong_is_refused_in_training_and_evaluation(fields: dict[str, object], code: str) -> None:
    broken = replace(SAMPLE, **fields)  # type: ignore[arg-type]
    with pytest.raises(BadSampleError, match=code):
        MultipleChoice().encode(broken, RNG)
    with pytest.raises(BadSampleError, match=code):
        MultipleChoice().ask(broken)


def test_only_the_very_option_is_right_unless_case_is_to_be_ignored() -> None:
    recipe, loose = MultipleChoice(), MultipleChoice(lower_case=True)
    assert recipe.metrics()["exact_match"].update(recipe.decode("A dog", SAMPLE), SAMPLE) == 0.0
    assert loose.metrics()["exact_match"].update(loose.decode("A dog", SAMPLE), SAMPLE) == 1.0
    assert loose.encode(replace(SAMPLE, choices=("A Dog", "b"), answers=("A Dog",)), RNG).suffix == "A Dog"


def test_ready_made_text_overrides_the_recipe() -> None:
    bare = Sample(sample_id="7", origin="", images=(), prefix="q", suffix="s")
    example = MultipleChoice().encode(bare, RNG)
    assert (example.prefix, example.suffix) == ("q", "s")
    assert example.notes["ready-made suffixes used as they are"] == 1
    assert MultipleChoice().reference(bare) == "s"


def test_a_prefix_that_hides_what_is_asked_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not show the choices: write \{choices\} where they belong"):
        MultipleChoice(prefix="answer {language} {question}")
    with pytest.raises(ValueError, match=r"does not show the question"):
        MultipleChoice(prefix="{choices}")
    with pytest.raises(ValueError, match="language=de has no effect"):
        MultipleChoice(prefix="{question} {choices}", language="de")
    with pytest.raises(ValueError, match="scores must name some of"):
        MultipleChoice(scores=["accuracy"])


def test_scores_are_told_apart_by_category_on_request() -> None:
    metric = MultipleChoice(categories=["easy"]).metrics()["exact_match"]
    assert metric.names() == ("exact_match", "exact_match/easy", "exact_match/mean")
