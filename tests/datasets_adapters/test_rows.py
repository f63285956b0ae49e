import math

import pytest

from datasets_adapters import rows
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError

PLACE = RowPlace(origin="train.jsonl:3", sample_id="s3")


@pytest.mark.parametrize("text", ["a cat", " a ", "кот 😀", "<b>", "loc0001", "<loc1>"])
def test_text_is_returned_as_it_is(text: str) -> None:
    assert rows.read_text(text, "text", PLACE) == text


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (3, "wrong-type"),
        (None, "wrong-type"),
        (["a"], "wrong-type"),
        ("", "empty-text"),
        (" \n", "empty-text"),
        ("\udc00", "lone-surrogate"),
        ("at <loc0012>", "location-token"),
        ("at <seg012>", "location-token"),
    ],
)
def test_what_is_no_text_is_refused(value: object, code: str) -> None:
    with pytest.raises(BadSampleError) as refusal:
        rows.read_text(value, "text", PLACE)
    error = refusal.value
    assert (error.origin, error.sample_id, error.field_name, error.code) == ("train.jsonl:3", "s3", "text", code)


def test_location_tokens_and_emptiness_can_be_allowed() -> None:
    assert rows.read_text("<loc0012>", "suffix", PLACE, location_tokens=True) == "<loc0012>"
    assert rows.read_text("", "text", PLACE, may_be_empty=True) == ""


def test_one_text_is_a_list_of_one() -> None:
    assert rows.read_texts("a", "captions", PLACE) == rows.read_texts(["a"], "captions", PLACE) == ("a",)
    assert rows.optional_texts({}, "captions", PLACE) == ()
    assert rows.optional_text({"text": None}, "text", PLACE) is None


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400])
def test_numbers_are_finite(value: object) -> None:
    with pytest.raises(BadSampleError, match="not-finite"):
        rows.read_number(value, "box[0]", PLACE)


@pytest.mark.parametrize(("value", "expected"), [(True, True), (0, False), (1, True)])
def test_flags_are_booleans_or_bits(value: object, expected: bool) -> None:
    assert rows.read_flag(value, "is_crowd", PLACE) is expected


@pytest.mark.parametrize("value", [2, "true", None, 1.0])
def test_other_flags_are_refused(value: object) -> None:
    with pytest.raises(BadSampleError, match="wrong-type"):
        rows.read_flag(value, "is_crowd", PLACE)


def test_a_size_is_whole_or_absent() -> None:
    assert rows.read_size({"width": 20, "height": 10}, PLACE) == (10, 20)
    assert rows.read_size({"width": None}, PLACE) is None
    wrong = ({"width": 20}, {"width": 20, "height": 0}, {"width": 20.0, "height": 1}, {"width": True, "height": 1})
    for row in (*wrong, {"width": 10**30, "height": 1}):
        with pytest.raises(BadSampleError, match="whole number of pixels"):
            rows.read_size(row, PLACE)


def test_an_unknown_field_is_told_the_nearest_known_one() -> None:
    with pytest.raises(BadSampleError, match="did you mean suffix"):
        rows.check_fields({"sufix": 1}, ("prefix", "suffix"), "", PLACE)
    with pytest.raises(BadSampleError, match="known: prefix, suffix"):
        rows.check_fields({"zzz": 1}, ("prefix", "suffix"), "", PLACE)


def test_long_values_are_quoted_in_part() -> None:
    assert len(rows.quote("x" * 10_000)) < 70
