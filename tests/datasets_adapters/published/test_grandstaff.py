"""GrandStaff, on music made up for this test, in the authors' format."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.grandstaff import GrandStaff
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "grandstaff"
_FIRST = "nobody/sonata01-1/original_m-0-5"


def test_a_row_is_an_image_and_its_transcription_without_measure_numbers() -> None:
    sample = GrandStaff(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == _FIRST
    assert sample.images[0].name == f"{_FIRST}.jpg"
    assert sample.text == "**kern\t**kern\n*clefF4\t*clefG2\n4C\t4e 4g\n=\t=\n4D\t4f\n*-\t*-"


def test_distorted_images_have_the_same_transcription() -> None:
    plain, distorted = (GrandStaff(root=str(ASSET), distorted=value).open("train")[0] for value in (False, True))
    assert distorted.images[0].name == f"{_FIRST}_distorted.jpg"
    assert distorted.text == plain.text


def test_splits_add_up_whatever_file_their_lines_name() -> None:
    source = GrandStaff(root=str(ASSET)).open("train+val+test")
    stems = [source[index].sample_id.rsplit("/", 1)[1] for index in range(len(source))]
    assert stems == ["original_m-0-5", "min3_down_m-0-5", "original_m-13-14", "original_m-6-9", "original_m-10-12"]


@pytest.mark.parametrize(("content", "message"), [(b"\n", "must not be empty"), (b"\xff", "is no text in UTF-8")])
def test_a_broken_transcription_is_refused_by_partition_and_name(tmp_path: Path, content: bytes, message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / f"{_FIRST}.krn").write_bytes(content)
    with pytest.raises(BadSampleError, match=rf"train.txt: system {_FIRST}: transcription: .*{message}"):
        GrandStaff(root=str(tmp_path / "copy")).open("train")[0]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no partitions/train.txt.*multiscore-project"):
        GrandStaff(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'dev'"):
        GrandStaff(root=str(ASSET)).open("dev")
