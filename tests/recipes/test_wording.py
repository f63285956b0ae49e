"""The small change of every recipe."""

from finetune.types import Sample
from recipes.wording import plain_text, say

SAMPLE = Sample(sample_id="7", origin="a", images=())


def test_an_example_keeps_the_sample_and_its_notes() -> None:
    example = say(SAMPLE, "ocr", "A", notes={"left out": 2})
    assert (example.sample_id, example.prefix, example.suffix, example.notes) == ("7", "ocr", "A", {"left out": 2})
    assert say(SAMPLE, "ocr").suffix == ""


def test_plain_text_reads_nothing_out_of_the_text() -> None:
    prediction = plain_text("<loc0001> a", SAMPLE)
    assert (prediction.text, prediction.objects, prediction.num_malformed) == ("<loc0001> a", (), 0)
