"""ActivityNet Captions, on events made up for this test, in the authors' format."""

import json
import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.activitynet_cap import ActivitynetCap
from finetune.data.frames import shown_images
from finetune.types import BadSampleError, Sample

ASSET = Path(__file__).parents[2] / "assets" / "published" / "activitynet_cap"


def _frames(sample: Sample) -> list[str]:
    return [Path(image.name).stem for image in shown_images(sample, None)]


def test_a_row_is_an_event_with_the_frames_of_its_time() -> None:
    source = ActivitynetCap(root=str(ASSET)).open("train")
    assert len(source) == 3
    assert source[0].sample_id == "train/v_madeUpTrain/0"
    assert source[0].captions == ("A square lies at the left.",)
    assert [_frames(source[index]) for index in range(2)] == [["000001", "000002"], ["000003", "000004"]]


def test_sentences_lose_the_space_that_many_begin_with() -> None:
    assert ActivitynetCap(root=str(ASSET)).open("train")[1].captions == ("The square slides to the right.",)


def test_an_event_whose_end_stands_first_is_turned_round_and_counted() -> None:
    sample = ActivitynetCap(root=str(ASSET)).open("train")[2]
    assert _frames(sample) == ["000004"]
    assert sample.notes == {"events whose end stood before their start": 1}


def test_the_stride_counts_within_the_event() -> None:
    source = ActivitynetCap(root=str(ASSET), frame_stride=2).open("val_2")
    assert [_frames(source[index]) for index in range(2)] == [["000001"], ["000001", "000003"]]


def test_both_descriptions_of_a_video_can_stand_in_one_split() -> None:
    source = ActivitynetCap(root=str(ASSET)).open("val_1+val_2")
    assert len({source[index].sample_id for index in range(len(source))}) == len(source) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration": 0}, "duration: must be above 0 seconds"),
        ({"duration": "30"}, "duration: must be a number"),
        ({"timestamps": [[0.0]]}, "timestamps: must be a start and an end in seconds"),
        ({"sentences": [" "]}, "sentences: must not be empty"),
    ],
)
def test_a_broken_event_is_refused_by_file_and_id(tmp_path: Path, change: dict[str, object], message: str) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "val_1.json"
    video = json.loads(path.read_text())["v_-madeUpVal0"]
    path.write_text(json.dumps({"v_-madeUpVal0": video | change}))
    with pytest.raises(BadSampleError, match=f"val_1.json: event val_1/v_-madeUpVal0/0: {message}"):
        ActivitynetCap(root=str(tmp_path / "copy")).open("val_1")[0]


def test_a_video_with_more_times_than_sentences_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(
        '{"v_a": {"duration": 3.0, "timestamps": [[0, 1], [1, 2]], "sentences": ["x"]}}'
    )
    with pytest.raises(ValueError, match="v_a must have as many timestamps as sentences"):
        ActivitynetCap(root=str(tmp_path)).open("train")


def test_videos_that_are_gone_are_left_out_on_demand(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "frames" / "v_-madeUpVal0")
    dataset = ActivitynetCap(root=str(tmp_path / "copy"), skip_missing_videos=True)
    assert len(dataset.open("train")) == 3
    with pytest.raises(ValueError, match="skip_missing_videos"):
        dataset.open("val_2")


def test_a_missing_file_and_an_unknown_split_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no val_2.json.*cs.stanford.edu/people/ranjaykrishna/densevid"):
        ActivitynetCap(root=str(tmp_path)).open("val_2")
    with pytest.raises(ValueError, match="there is no split 'val'"):
        ActivitynetCap(root=str(ASSET)).open("val")
