"""MIMIC-CXR, on reports made up for this test, in the form that its describers give."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.mimic_cxr import MimicCxr
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "mimic_cxr"
_STUDY = Path("files/p10/p10000001/s50000001")


def test_a_row_is_an_image_with_the_findings_and_impression_of_its_study() -> None:
    sample = MimicCxr(root=str(ASSET)).open("train")[0]
    assert sample.sample_id == "aaaaaaaa-0001"
    assert sample.images[0].name == f"{_STUDY}/aaaaaaaa-0001.jpg"
    assert sample.prefix == "INDICATION: A made-up request // anything new?"
    assert sample.captions == ("FINDINGS: A square is seen. It is pale. IMPRESSION: No circle.",)


def test_images_of_a_study_share_its_report() -> None:
    source = MimicCxr(root=str(ASSET)).open("train")
    assert source[0].captions == source[1].captions


def test_a_study_without_an_indication_or_findings_has_the_rest() -> None:
    sample = MimicCxr(root=str(ASSET)).open("validate")[0]
    assert (sample.prefix, sample.captions) == ("INDICATION: N/A", ("IMPRESSION: One square: small.",))


def test_splits_add_up() -> None:
    assert len(MimicCxr(root=str(ASSET)).open("train+validate+test")) == 5


@pytest.mark.parametrize(
    ("report", "message"),
    [(b"FINAL REPORT\n Nothing under a heading.\n", "has neither FINDINGS nor IMPRESSION"), (b"\xff", "is no text in")],
)
def test_a_report_without_anything_to_say_is_refused_by_image(tmp_path: Path, report: bytes, message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / f"{_STUDY}.txt").write_bytes(report)
    with pytest.raises(BadSampleError, match=rf"split.csv: image aaaaaaaa-0001: report: .*{message}"):
        MimicCxr(root=str(tmp_path / "copy")).open("train")[0]


def test_a_missing_report_is_refused_by_name(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    (tmp_path / "copy" / f"{_STUDY}.txt").unlink()
    with pytest.raises(BadSampleError, match=r"study_id: there is no .*s50000001.txt"):
        MimicCxr(root=str(tmp_path / "copy")).open("train")[0]


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no mimic-cxr-2.0.0-split.csv.*physionet.org.*Credentialed"):
        MimicCxr(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'val'"):
        MimicCxr(root=str(ASSET)).open("val")
