"""What is said when a sample lacks what a task needs."""

from finetune.types import Sample
from recipes.missing import missing_annotation


def test_the_message_names_each_thing_on_offer_with_its_recipe() -> None:
    sample = Sample(
        sample_id="7",
        origin="a.jsonl:3",
        images=(),
        instances=(),
        captions=("a",),
        question="q",
        prefix="p",
        suffix="s",
    )
    error = missing_annotation(sample, "text")
    assert str(error) == (
        "a.jsonl:3: text: the sample has no text; it has captions (recipe=captioning), boxes (recipe=detection), "
        "prefix and suffix (recipe=verbatim) [missing-text]"
    )


def test_a_question_with_options_fits_multiple_choice() -> None:
    sample = Sample(sample_id="7", origin="a", images=(), question="q", choices=("x", "y"), answers=("x",))
    assert (
        "question and answers (recipe=vqa), choices (recipe=multiple_choice)"
        in missing_annotation(sample, "text").message
    )


def test_a_bare_image_offers_nothing() -> None:
    error = missing_annotation(Sample(sample_id="7", origin="a", images=()), "captions")
    assert "no annotation that a recipe reads" in error.message
