"""MSR-VTT, on clips made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.msrvtt_cap import MsrvttCap
from finetune.data.frames import shown_images
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "msrvtt_cap"


def test_a_row_is_a_clip_with_all_its_captions_and_frames() -> None:
    source = MsrvttCap(root=str(ASSET), frame_stride=9).open("train")
    sample = source[0]
    assert len(source) == 2
    assert sample.sample_id == "video0"
    assert sample.captions == ("a light square slides over a red wall", "something pale crosses a red field")
    assert [image.name for image in shown_images(sample, None)] == ["video0/000001.jpg", "video0/000010.jpg"]


@pytest.mark.parametrize(("split", "first", "rows"), [("val", "video6513", 1), ("test", "video7010", 1)])
def test_validation_shares_the_file_of_training_and_test_has_its_own(split: str, first: str, rows: int) -> None:
    source = MsrvttCap(root=str(ASSET)).open(split)
    assert (source[0].sample_id, len(source)) == (first, rows)


def test_splits_add_up() -> None:
    assert len(MsrvttCap(root=str(ASSET)).open("train+val")) == 3


def test_the_one_file_that_holds_everything_is_taken_too(tmp_path: Path) -> None:
    parts = [json.loads((ASSET / f"{name}_videodatainfo.json").read_text()) for name in ("train_val", "test")]
    whole = {key: parts[0][key] + parts[1][key] for key in ("videos", "sentences")}
    (tmp_path / "MSRVTT_data.json").write_text(json.dumps(whole))
    shutil.copytree(ASSET / "frames", tmp_path / "frames")
    source = MsrvttCap(root=str(tmp_path)).open("test")
    assert [source[index].sample_id for index in range(len(source))] == ["video7010"]


def test_a_clip_without_captions_is_refused_by_name(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "test_videodatainfo.json"
    content = json.loads(path.read_text())
    content["sentences"][0]["caption"] = ""
    path.write_text(json.dumps(content))
    with pytest.raises(
        BadSampleError, match=r"test_videodatainfo.json: video video7010: caption\[0\]: must not be empty"
    ):
        MsrvttCap(root=str(tmp_path / "copy")).open("test")[0]


def test_clips_that_are_gone_are_left_out_on_demand(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "frames" / "video0")
    source = MsrvttCap(root=str(tmp_path / "copy"), train_split="train+val")
    with pytest.raises(BadSampleError, match="video0"):
        source.open("train")[0]
    dataset = MsrvttCap(root=str(tmp_path / "copy"), skip_missing_videos=True)
    assert [dataset.open("train")[0].sample_id, len(dataset.open("train"))] == ["video1", 1]
    shutil.rmtree(tmp_path / "copy" / "frames" / "video1")
    with pytest.raises(ValueError, match="skip_missing_videos: no video"):
        dataset.open("train")


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    names = r"train_val_videodatainfo.json or MSRVTT_data.json"
    with pytest.raises(ValueError, match=rf"has no {names}.*friedrichor/MSR-VTT"):
        MsrvttCap(root=str(tmp_path)).open("train")
    with pytest.raises(ValueError, match="there is no split 'tset'"):
        MsrvttCap(root=str(ASSET)).open("tset")


def test_a_stride_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="frame_stride"):
        MsrvttCap(root=str(ASSET), frame_stride=0)
