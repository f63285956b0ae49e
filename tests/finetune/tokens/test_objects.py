"""Lists of labelled boxes as text."""

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.tokens.location import has_extent
from finetune.tokens.objects import (
    SpokenMask,
    check_label,
    format_labels,
    format_mask,
    format_masks,
    format_objects,
    parse_mask,
    parse_masks,
    parse_objects,
)
from finetune.types import Instance

BOX = "<loc0100><loc0200><loc0300><loc0400>"
MASK = "".join(f"<seg{code:03d}>" for code in range(16))


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    edges = st.floats(0, 1)
    top, bottom = sorted((draw(edges), draw(edges)))
    left, right = sorted((draw(edges), draw(edges)))
    box = Box(top=top, left=left, bottom=bottom, right=right)
    assume(has_extent(box))
    label = draw(
        st.text(st.characters(exclude_characters=";<\n\r", exclude_categories=["Cs"]), min_size=1).map(str.strip)
    )
    assume(label)
    return Instance(label=label, box=box)


@given(st.lists(instances(), max_size=5))
def test_objects_survive_the_round_trip_up_to_quantisation(objects: list[Instance]) -> None:
    text = format_objects(objects)
    parsed = parse_objects(text)
    assert parsed.num_malformed == 0
    assert format_objects(parsed.objects) == text
    for before, after in zip(objects, parsed.objects, strict=True):
        check_label(before.label)
        assert before.label == after.label
        for edge in ("top", "left", "bottom", "right"):
            assert abs(getattr(before.box, edge) - getattr(after.box, edge)) <= 0.5 / 1023 + 1e-9


def test_the_format_is_one_space_before_the_label_and_a_spaced_semicolon_between() -> None:
    box = Box(top=100 / 1023, left=200 / 1023, bottom=300 / 1023, right=400 / 1023)
    objects = [Instance(label="cat", box=box), Instance(label="red dog", box=box)]
    assert format_objects(objects) == f"{BOX} cat ; {BOX} red dog"
    assert format_objects([]) == ""
    assert format_labels(["cat", "red dog"]) == "cat ; red dog"


@pytest.mark.parametrize(
    ("text", "labels", "num_malformed"),
    [
        ("", [], 0),
        ("  \n", [], 0),
        (f"{BOX} cat", ["cat"], 0),
        (f"{BOX}cat;{BOX}  dog ", ["cat", "dog"], 0),
        (f"{BOX}{MASK} cat ; {BOX} dog", ["cat", "dog"], 0),
        (f"{BOX}<seg001> cat", [], 1),
        (f"{BOX} cat ;", ["cat"], 1),
        (f"{BOX} cat ; {BOX}", ["cat"], 1),
        (f"{BOX} cat {BOX} dog", [], 1),
        ("<loc0100><loc0200><loc0300> cat", [], 1),
        (f"<loc0001>{BOX} cat", [], 1),
        ("<loc0300><loc0200><loc0100><loc0400> cat", [], 1),
        ("<loc0100><loc0200><loc0100><loc0400> cat", [], 1),
        ("<loc0100><loc0200><loc0300><loc1024> cat", [], 1),
        ("cat", [], 1),
        (f"a cat ; {BOX} cat ; no", ["cat"], 2),
    ],
)
def test_what_is_not_an_object_is_counted(text: str, labels: list[str], num_malformed: int) -> None:
    parsed = parse_objects(text)
    assert [instance.label for instance in parsed.objects] == labels
    assert parsed.num_malformed == num_malformed


@given(st.text() | st.lists(st.sampled_from([BOX, "<loc", "0001>", ";", " ", "<seg000>", "cat", MASK])).map("".join))
def test_any_text_is_read_without_an_error(text: str) -> None:
    parsed = parse_objects(text)
    num_parts = len(text.split(";")) if text.strip() else 0
    assert len(parsed.objects) + parsed.num_malformed == num_parts


@pytest.mark.parametrize("part", ["<loc0001>", "<seg001>", BOX + MASK, BOX + " ", " ", ";", "<"])
def test_two_hundred_thousand_characters_are_read_in_linear_time(part: str) -> None:
    started = time.process_time()
    parse_objects(part * (200_000 // len(part)))
    assert time.process_time() - started < 5


@pytest.mark.parametrize("label", ["", " cat", "cat ", "cat;dog", "<cat", "cat\ndog", "cat\rdog"])
def test_a_label_that_could_not_be_read_back_is_refused_by_name(label: str) -> None:
    with pytest.raises(ValueError, match="label"):
        check_label(label)


SPOKEN = st.builds(
    lambda label, bins, codes: SpokenMask(
        label=label,
        box=Box(top=bins[0] / 1023, left=bins[1] / 1023, bottom=bins[2] / 1023, right=bins[3] / 1023),
        codes=tuple(codes),
    ),
    st.sampled_from(["cat", "red car"]),
    st.tuples(st.integers(0, 400), st.integers(0, 400), st.integers(401, 1023), st.integers(401, 1023)),
    st.lists(st.integers(0, 127), min_size=16, max_size=16),
)


@given(st.lists(SPOKEN, max_size=4))
def test_masks_are_read_as_they_were_said(spoken: list[SpokenMask]) -> None:
    parsed = parse_masks(format_masks(spoken))
    assert (list(parsed.masks), parsed.num_malformed) == (spoken, 0)


@pytest.mark.parametrize(
    "text",
    [
        f"{BOX} cat",
        f"{BOX}{MASK}",
        f"{BOX}{MASK[:-8]} cat",
        f"{BOX}{MASK}<seg001> cat",
        f"{BOX}{MASK.replace('015', '128')} cat",
        f"<loc0300><loc0200><loc0100><loc0400>{MASK} cat",
        f"{MASK} cat",
        "cat",
    ],
)
def test_a_part_without_box_whole_mask_and_label_is_malformed(text: str) -> None:
    assert parse_masks(text).num_malformed == 1
    assert parse_masks(f"{text} ; {BOX}{MASK} dog").masks[-1].label == "dog"


def test_the_answer_to_an_expression_is_its_first_twenty_tokens() -> None:
    spoken = parse_mask(f"{BOX}{MASK}<seg001> and more")
    assert spoken is not None
    assert format_mask(spoken) == BOX + MASK
    assert parse_mask(f" {BOX}{MASK}") is None
    assert parse_mask(BOX) is None


@given(st.text())
def test_reading_masks_never_raises(text: str) -> None:
    parse_masks(text)
    parse_mask(text)
