"""The word-spotting recipe."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.types import BadSampleError, Instance, Sample
from recipes.text_spotting import TextSpotting, WordOrder

RNG = np.random.default_rng(0)


def _word(label: str, top: float, left: float, *, size: float = 0.1, is_crowd: bool = False) -> Instance:
    return Instance(label=label, box=Box(top=top, left=left, bottom=top + size, right=left + size), is_crowd=is_crowd)


ONE, WAY, OFF = _word("ONE", 0.1, 0.1), _word("WAY", 0.1, 0.5), _word("OFF;", 0.6, 0.2)


def _sample(*words: Instance, suffix: str | None = None, prefix: str | None = None) -> Sample:
    return Sample(sample_id="7", origin="img_1", images=(), instances=words, suffix=suffix, prefix=prefix)


def test_words_are_said_from_top_to_bottom_and_left_to_right() -> None:
    example = TextSpotting().encode(_sample(OFF, WAY, ONE), RNG)
    assert example.prefix == "ocr"
    assert example.suffix == (
        "<loc0102><loc0102><loc0205><loc0205> ONE ; <loc0102><loc0512><loc0205><loc0614> WAY ; "
        "<loc0614><loc0205><loc0716><loc0307> OFF;"
    )


def test_words_can_keep_the_order_of_the_data_or_be_shuffled() -> None:
    recipe = TextSpotting(word_order=WordOrder.annotated)
    assert [word.label for word in recipe.decode(recipe.encode(_sample(OFF, ONE), RNG).suffix, _sample()).objects] == [
        "OFF;",
        "ONE",
    ]
    shuffled = {TextSpotting(word_order=WordOrder.random).encode(_sample(ONE, WAY, OFF), RNG).suffix for _ in range(50)}
    assert len(shuffled) == 6


def test_what_is_not_said_is_counted() -> None:
    thin, crowd = _word("I", 0.1, 0.1, size=0.0001), _word("###", 0.1, 0.1, is_crowd=True)
    example = TextSpotting(max_words=1).encode(_sample(ONE, WAY, thin, crowd), RNG)
    assert example.suffix.endswith(" ONE")
    assert example.notes == {
        "unreadable words left out": 1,
        "words thinner than a location bin": 1,
        "words over the limit": 1,
    }


@example([";", "A;", ";"])
@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="<\n\r"), min_size=1).filter(str.strip)))
def test_what_is_said_is_read_back_whatever_the_words_hold(labels: list[str]) -> None:
    words = [_word(label.strip(), 0.1, 0.1) for label in labels]
    recipe = TextSpotting()
    prediction = recipe.decode(recipe.encode(_sample(*words), RNG).suffix, _sample())
    assert [word.label for word in prediction.objects] == [word.label for word in words]
    assert prediction.num_malformed == 0


@pytest.mark.parametrize(
    ("text", "num_words", "num_malformed"),
    [
        ("", 0, 0),
        ("STOP", 0, 1),
        ("<loc0900><loc0102><loc0205><loc0205> ONE", 0, 1),
        ("<loc0102><loc0102><loc0205><loc0205> ; <loc0102><loc0512><loc0205><loc0614> WAY", 1, 1),
        ("<loc0102><loc0102><loc0205> ONE", 0, 1),
        ("<loc0102><loc0102><loc0205><loc0205> ONE <loc0102>", 0, 1),
    ],
)
def test_malformed_parts_are_counted_and_passed_over(text: str, num_words: int, num_malformed: int) -> None:
    prediction = TextSpotting().decode(text, _sample())
    assert (len(prediction.objects), prediction.num_malformed) == (num_words, num_malformed)


def test_a_perfect_answer_has_a_perfect_score() -> None:
    recipe, sample = TextSpotting(), _sample(ONE, WAY, _word("###", 0.6, 0.6, is_crowd=True))
    (metric,) = recipe.metrics().values()
    assert metric.update(recipe.decode(recipe.reference(sample), sample), sample) == 1.0


def test_ready_made_text_overrides_the_recipe() -> None:
    recipe, sample = TextSpotting(), _sample(suffix="<loc0102><loc0102><loc0205><loc0205> ONE", prefix="read")
    example = recipe.encode(sample, RNG)
    assert (example.prefix, example.suffix) == ("read", sample.suffix)
    (metric,) = recipe.metrics().values()
    assert metric.update(recipe.decode(example.suffix, sample), sample) == 1.0


def test_mistakes_are_refused() -> None:
    with pytest.raises(BadSampleError, match="missing-boxes"):
        TextSpotting().encode(Sample(sample_id="7", origin="", images=(), text="A"), RNG)
    with pytest.raises(ValueError, match="max_words"):
        TextSpotting(max_words=0)
    with pytest.raises(ValueError, match="known: none"):
        TextSpotting(prefix="ocr {language}")
