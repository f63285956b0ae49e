"""VATEX, on clips made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.vatex_cap import VatexCap
from finetune.data.frames import shown_images
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "vatex_cap"


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_row_is_a_clip_with_its_english_captions(split: str) -> None:
    sample = VatexCap(root=str(ASSET)).open(split)[0]
    assert sample.captions == ("A pale square slides over a wall.", "Something small moves from left to right.")


def test_frames_are_taken_from_the_folder_of_the_clip() -> None:
    sample = VatexCap(root=str(ASSET), frame_stride=2).open("train")[0]
    assert sample.sample_id == "madeUpTrain_000122_000132"
    assert [Path(image.name).name for image in shown_images(sample, None)] == ["000001.jpg", "000003.jpg"]


def test_splits_add_up() -> None:
    assert len(VatexCap(root=str(ASSET)).open("train+val")) == 3


@pytest.mark.parametrize(
    ("captions", "message"), [(None, "must be text or a list"), ([3], r"enCap\[0\]: must be text")]
)
def test_a_row_without_captions_is_refused_by_file_and_id(tmp_path: Path, captions: object, message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "vatex_validation_v1.0.json"
    path.write_text(json.dumps([json.loads(path.read_text())[0] | {"enCap": captions}]))
    with pytest.raises(
        BadSampleError, match=rf"vatex_validation_v1.0.json: video -madeUpVal0_000001_000011: .*{message}"
    ):
        VatexCap(root=str(tmp_path / "copy")).open("val")[0]


def test_clips_that_are_gone_are_left_out_on_demand(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "frames" / "madeUpTest0_000040_000050")
    dataset = VatexCap(root=str(tmp_path / "copy"), skip_missing_videos=True)
    assert len(dataset.open("val")) == 1
    with pytest.raises(ValueError, match="skip_missing_videos"):
        dataset.open("test")


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no vatex_training_v1.0.json.*eric-xw.github.io/vatex-website"):
        VatexCap(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'private'"):
        VatexCap(root=str(ASSET)).open("private")
