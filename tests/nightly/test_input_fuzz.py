"""The fuzz of tests/hostile at the size of a night: two million texts, fifty thousand images."""

import random
from pathlib import Path

import pytest

from tests.hostile import fuzz
from tests.hostile.test_bad_input import begin_measuring, peak_mib

pytestmark = pytest.mark.nightly

_SHARES = range(20)


@pytest.mark.parametrize("share", _SHARES)
def test_a_parser_takes_any_text(share: int) -> None:
    fuzz.fuzz_parser(100_000, random.Random(f"text {share}"))


@pytest.mark.parametrize("share", _SHARES)
def test_images_are_decoded_or_refused_whatever_their_bytes(share: int) -> None:
    begin_measuring()
    fuzz.fuzz_images(2_500, random.Random(f"images {share}"))
    assert peak_mib() < 200


@pytest.mark.parametrize("share", range(5))
def test_rows_are_read_or_refused_whatever_their_bytes(share: int, tmp_path: Path) -> None:
    fuzz.fuzz_rows(50_000, tmp_path, random.Random(f"rows {share}"))
    fuzz.fuzz_files(2_000, tmp_path, random.Random(f"files {share}"))


def test_descriptions_of_checkpoints_are_read_whole_or_refused(tmp_path: Path) -> None:
    fuzz.fuzz_manifests(20_000, tmp_path, random.Random("manifests"))
