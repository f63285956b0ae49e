"""The small change of every recipe."""

from dataclasses import replace

from finetune.types import Sample
from recipes.wording import plain_text, ready_made, say, truths

SAMPLE = Sample(sample_id="7", origin="a", images=())


def test_an_example_keeps_the_sample_and_its_notes() -> None:
    example = say(SAMPLE, "ocr", "A", notes={"left out": 2})
    assert (example.sample_id, example.prefix, example.suffix, example.notes) == ("7", "ocr", "A", {"left out": 2})
    assert say(SAMPLE, "ocr").suffix == ""


def test_plain_text_reads_nothing_out_of_the_text() -> None:
    prediction = plain_text("<loc0001> a", SAMPLE)
    assert (prediction.text, prediction.objects, prediction.num_malformed) == ("<loc0001> a", (), 0)


def test_ready_made_texts_are_counted() -> None:
    assert ready_made(SAMPLE) == {}
    assert ready_made(replace(SAMPLE, suffix="")) == {"ready-made suffixes used as they are": 1}
    assert set(ready_made(replace(SAMPLE, prefix="a", suffix="b"))) == {
        "ready-made prefixes used as they are",
        "ready-made suffixes used as they are",
    }


def test_a_ready_made_suffix_is_the_truth_even_where_it_is_empty() -> None:
    assert truths(SAMPLE, ("a cat", "a dog")) == ("a cat", "a dog")
    assert truths(replace(SAMPLE, suffix="a fox"), ("a cat", "a dog")) == ("a fox",)
    assert truths(replace(SAMPLE, suffix=""), ("a cat",)) == ("",)
