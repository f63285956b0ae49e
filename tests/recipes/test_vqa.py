"""The question-answering recipe."""

from dataclasses import replace

import numpy as np
import pytest

from finetune.types import BadSampleError, Sample
from recipes.vqa import AnswerChoice, Vqa


def _sample(**fields: object) -> Sample:
    return Sample(sample_id="7", origin="vqa.json:8", images=(), **fields)  # type: ignore[arg-type]


ASKED = _sample(question="What {is} it?", answers=("Cat", "Dog", "Dog", "Cat", "dog"))
RNG = np.random.default_rng(0)


def test_the_prefix_follows_the_original_and_the_template() -> None:
    assert Vqa().ask(ASKED).prefix == "answer en What {is} it?"
    assert Vqa(prefix="{question}").encode(ASKED, RNG).prefix == "What {is} it?"
    assert Vqa(language="fr").ask(ASKED).prefix == "answer fr What {is} it?"


def test_every_answer_is_drawn_now_and_then() -> None:
    drawn = {Vqa().encode(ASKED, np.random.default_rng(seed)).suffix for seed in range(100)}
    assert drawn == {"Cat", "Dog", "dog"}


def test_the_majority_is_the_first_of_the_most_frequent() -> None:
    recipe = Vqa(answer=AnswerChoice.majority)
    assert {recipe.encode(ASKED, np.random.default_rng(seed)).suffix for seed in range(20)} == {"Cat"}
    assert Vqa(answer=AnswerChoice.majority, lower_case=True).encode(ASKED, RNG).suffix == "cat"


def test_each_answer_has_its_turn_before_any_comes_again() -> None:
    recipe = Vqa(answer=AnswerChoice.cycle)
    for start in (0, 5, 10):
        visits = [replace(ASKED, visit=visit) for visit in range(start, start + 5)]
        assert sorted(recipe.encode(sample, RNG).suffix for sample in visits) == sorted(ASKED.answers)
    assert {recipe.encode(ASKED, np.random.default_rng(seed)).suffix for seed in range(20)} == {
        recipe.encode(ASKED, RNG).suffix
    }


@pytest.mark.parametrize("answer", [AnswerChoice.majority, AnswerChoice.cycle])
def test_all_answers_and_one_of_them_contradict_each_other(answer: AnswerChoice) -> None:
    with pytest.raises(ValueError, match=f"use_all_answers=true and answer={answer.name} contradict"):
        Vqa(use_all_answers=True, answer=answer)


def test_a_sample_may_have_a_language_of_its_own() -> None:
    assert Vqa(language="fr").ask(replace(ASKED, language="de")).prefix == "answer de What {is} it?"


def test_scores_are_told_apart_by_category_on_request() -> None:
    recipe = Vqa(scores=["vqa_accuracy"], categories=["yesno", "other"])
    metric = recipe.metrics()["vqa_accuracy"]
    sample = replace(ASKED, answers=("yes",) * 10, category="yesno")
    metric.update(recipe.decode("yes", sample), sample)
    assert metric.compute() == {"vqa_accuracy": 1.0, "vqa_accuracy/yesno": 1.0, "vqa_accuracy/mean": 1.0}
    with pytest.raises(ValueError, match="categories must differ"):
        Vqa(categories=["a", "a"])


def test_what_is_missing_is_named() -> None:
    with pytest.raises(BadSampleError, match="missing-question"):
        Vqa().ask(_sample(answers=("cat",)))
    with pytest.raises(BadSampleError, match="missing-answers"):
        Vqa().encode(_sample(question="What?"), RNG)


def test_settings_that_could_have_no_effect_are_refused() -> None:
    with pytest.raises(ValueError, match=r"prefix 'what' asks no question: write \{question\}"):
        Vqa(prefix="what")
    with pytest.raises(ValueError, match=r"language=fr has no effect: .* has no \{language\}"):
        Vqa(prefix="{question}", language="fr")


def test_ready_made_text_overrides_the_recipe() -> None:
    sample = _sample(question="What?", answers=("cat",), prefix="q", suffix="bird")
    example = Vqa().encode(sample, RNG)
    assert (example.prefix, example.suffix) == ("q", "bird")
    assert example.notes["ready-made prefixes used as they are"] == 1
    assert Vqa().reference(sample) == "bird"


def test_the_reference_lists_each_answer_once() -> None:
    assert Vqa().reference(ASKED) == "Cat / Dog / dog"


def test_scores_can_ignore_case_while_what_is_trained_on_keeps_it() -> None:
    recipe = Vqa(answer=AnswerChoice.majority, scores=["exact_match"], ignore_case=True)
    sample = replace(ASKED, answers=("Cat",))
    assert recipe.encode(sample, RNG).suffix == "Cat"
    assert recipe.metrics()["exact_match"].update(recipe.decode("cAT", sample), sample) == 1.0
    with pytest.raises(ValueError, match="ignore_case=true has no effect: lower_case=true"):
        Vqa(lower_case=True, ignore_case=True)


def test_the_scores_are_chosen_by_name_and_follow_the_case_setting() -> None:
    recipe = Vqa(scores=["exact_match", "ANLS"], lower_case=True)
    metrics = recipe.metrics()
    assert list(metrics) == ["exact_match", "ANLS"]
    assert metrics["exact_match"].update(recipe.decode("CAT", ASKED), ASKED) == 1.0
    with pytest.raises(ValueError, match="scores must name some of"):
        Vqa(scores=["BLEU"])
    with pytest.raises(ValueError, match=r"known: \{language\}, \{question\}"):
        Vqa(prefix="{q}")
