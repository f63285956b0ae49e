"""Readers of untrusted input give a value or a typed refusal for anything. Large in tests/nightly."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.tokens.location import decode_bin
from finetune.tokens.objects import SpokenMask, format_masks, format_objects, parse_masks, parse_objects
from finetune.types import Instance
from tests.hostile import fuzz
from tests.hostile.test_bad_input import begin_measuring, peak_mib

_SEED = 20


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    """Boxes whose edges are bins."""
    rows, columns = (
        sorted(draw(st.lists(st.integers(0, 1023), min_size=2, max_size=2, unique=True))) for _ in range(2)
    )
    top, bottom, left, right = (decode_bin(index) for index in (*rows, *columns))
    return Box(top=top, left=left, bottom=bottom, right=right)


_LETTERS = st.characters(exclude_characters=";<\r\n", exclude_categories=["Cs", "Cc", "Z"])
labels = st.text(_LETTERS, min_size=1).filter(lambda text: text == text.strip())
codes = st.lists(st.integers(0, 127), min_size=16, max_size=16).map(tuple)


@settings(max_examples=150)
@given(objects=st.lists(st.builds(lambda label, box: Instance(label=label, box=box), labels, boxes()), max_size=5))
def test_objects_are_read_as_they_were_said(objects: list[Instance]) -> None:
    found = parse_objects(format_objects(objects))
    assert (list(found.objects), found.num_malformed) == (objects, 0)


@settings(max_examples=100)
@given(
    masks=st.lists(
        st.builds(lambda label, box, codes: SpokenMask(label=label, box=box, codes=codes), labels, boxes(), codes),
        max_size=3,
    )
)
def test_masks_are_read_as_they_were_said(masks: list[SpokenMask]) -> None:
    assert list(parse_masks(format_masks(masks)).masks) == masks


def test_a_parser_takes_any_text() -> None:
    fuzz.fuzz_parser(4_000, random.Random(_SEED))


@pytest.mark.parametrize(
    "part", ["<loc0001>", "<seg001>", "<loc0001><loc0001><loc0002><loc0002> a ; ", "; ", "<loc", "a", "<seg001" * 3]
)
def test_reading_takes_time_in_proportion_to_the_text(part: str) -> None:
    def seconds(length: int) -> float:
        text = part * (length // len(part))
        start = time.process_time()
        parse_objects(text)
        parse_masks(text)
        return time.process_time() - start

    seconds(1_000)
    assert seconds(200_000) < 16 * max(seconds(25_000), 0.005)


def test_rows_are_read_or_refused_whatever_their_bytes(tmp_path: Path) -> None:
    taken = fuzz.fuzz_rows(2_500, tmp_path, random.Random(_SEED))
    assert 0 < taken < 2_500


def test_files_of_rows_are_opened_or_refused_whatever_their_bytes(tmp_path: Path) -> None:
    fuzz.fuzz_files(300, tmp_path, random.Random(_SEED))


def test_descriptions_of_checkpoints_are_read_whole_or_refused(tmp_path: Path) -> None:
    fuzz.fuzz_manifests(300, tmp_path, random.Random(_SEED))


def test_images_are_decoded_or_refused_whatever_their_bytes() -> None:
    begin_measuring()
    decoded = fuzz.fuzz_images(1_500, random.Random(_SEED))
    assert 0 < decoded < 1_500
    assert peak_mib() < 200
