"""Multiple choice by the option's letter."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from finetune.types import BadSampleError, Sample
from recipes.science_qa import ScienceQa

SAMPLE = Sample(
    sample_id="7",
    origin="problems.json:7",
    images=(),
    question="Which is an insect?",
    choices=("the spider", "the ant", "the snail"),
    answers=("the ant",),
    context="Insects have six legs.",
)
RNG = np.random.default_rng(0)
ASKED = (
    "Question: Which is an insect?\n"
    "Context: Insects have six legs.\n"
    "Options: (A) the spider, (B) the ant, (C) the snail\n"
    "Answer:"
)


def test_the_format_is_the_originals() -> None:
    example = ScienceQa(shuffle_choices=False).encode(SAMPLE, RNG)
    assert example.prefix == ASKED
    assert example.suffix == "The answer is B."


@pytest.mark.parametrize("context", [None, ""])
def test_no_context_is_said_to_be_none(context: str | None) -> None:
    assert "\nContext: N/A\n" in ScienceQa().ask(replace(SAMPLE, context=context)).prefix


def test_an_evaluation_keeps_the_order_of_the_data() -> None:
    assert ScienceQa().ask(SAMPLE).prefix == ASKED
    assert ScienceQa().reference(SAMPLE) == "The answer is B."


def test_training_shuffles_the_options_and_the_letter_follows_the_right_one() -> None:
    letters: Counter[str] = Counter()
    orders = set()
    for seed in range(600):
        example = ScienceQa().encode(SAMPLE, np.random.default_rng(seed))
        letter = example.suffix.removeprefix("The answer is ").removesuffix(".")
        assert f"({letter}) the ant" in example.prefix
        orders.add(example.prefix)
        letters[letter] += 1
    assert len(orders) == 6
    assert set(letters) == set("ABC")
    assert all(150 < count < 250 for count in letters.values())


def test_the_same_seed_shuffles_the_same() -> None:
    first, second = (ScienceQa().encode(SAMPLE, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_accuracy_counts_the_letter_and_parsefail_what_has_none() -> None:
    recipe = ScienceQa()
    metrics = recipe.metrics()
    for text in ("The answer is B.", "the answer is b. BECAUSE", "The answer is A.", "B"):
        for metric in metrics.values():
            metric.update(recipe.decode(text, SAMPLE), SAMPLE)
    assert metrics["accuracy"].compute() == {"accuracy": 0.5}
    assert metrics["parsefail"].compute() == {"parsefail": 0.25}


def test_a_hidden_answer_can_be_asked_for_but_not_trained_on() -> None:
    hidden = replace(SAMPLE, answers=())
    assert ScienceQa().ask(hidden).prefix == ASKED
    assert ScienceQa().reference(hidden) == ""
    assert ScienceQa().metrics()["accuracy"].update(ScienceQa().decode("The answer is B.", hidden), hidden) is None
    with pytest.raises(BadSampleError, match="missing-answers"):
        ScienceQa().encode(hidden, RNG)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"choices": ()}, "missing-choices"),
        ({"question": None}, "missing-question"),
        ({"answers": ("the bee",)}, "answer-not-a-choice"),
        ({"choices": (*map(str, range(26)), "the ant")}, "too-many-choices"),
    ],
)
def test_what_is_missing_or_wrong_is_refused_in_training_and_evaluation(fields: dict[str, object], code: str) -> None:
    broken = replace(SAMPLE, **fields)  # type: ignore[arg-type]
    with pytest.raises(BadSampleError, match=code):
        ScienceQa().encode(broken, RNG)
    with pytest.raises(BadSampleError, match=code):
        ScienceQa().ask(broken)


def test_options_are_not_shuffled_under_a_ready_made_prefix() -> None:
    told = replace(SAMPLE, prefix="Which?")
    suffixes = {ScienceQa().encode(told, np.random.default_rng(seed)).suffix for seed in range(20)}
    assert suffixes == {"The answer is B."}
    example = ScienceQa().encode(replace(SAMPLE, choices=(), prefix="Which?", suffix="The answer is C."), RNG)
    assert (example.prefix, example.suffix) == ("Which?", "The answer is C.")


def test_a_prefix_that_hides_what_is_asked_is_refused() -> None:
    with pytest.raises(ValueError, match=r"does not show the choices: write \{choices\} where they belong"):
        ScienceQa(prefix="{question}")
    with pytest.raises(ValueError, match=r"known: \{choices\}, \{context\}, \{question\}"):
        ScienceQa(prefix="{hint}")
