"""Frames of videos: which are shown, and what a missing video means."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.published.videos import WHOLE, Segment, sampled_frames, with_frames
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError

_PLACE = RowPlace(origin="videos.json: video a", sample_id="a")


def _video(root: Path, name: str, num_frames: int) -> None:
    folder = root / "frames" / name
    folder.mkdir(parents=True)
    for number in range(1, num_frames + 1):
        (folder / f"{number}.jpg").touch()


def test_every_so_many_frames_are_taken_from_the_first_on_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    _video(tmp_path, "a", 12)
    taken = sampled_frames(tmp_path, "a", _PLACE, stride=4)
    assert [image.name for image in taken] == ["a/1.jpg", "a/5.jpg", "a/9.jpg"]


def test_a_segment_gives_the_frames_between_its_ends(tmp_path: Path) -> None:
    _video(tmp_path, "a", 10)
    taken = sampled_frames(tmp_path, "a", _PLACE, stride=2, segment=Segment(start=0.5, end=0.9))
    assert [image.name for image in taken] == ["a/6.jpg", "a/8.jpg"]


def test_the_whole_is_every_frame() -> None:
    assert WHOLE.of(["1.jpg", "2.jpg", "3.jpg"]) == ["1.jpg", "2.jpg", "3.jpg"]


@given(start=st.floats(0, 2), length=st.floats(0, 2), num_frames=st.integers(1, 50))
def test_a_segment_is_never_without_a_frame_even_beyond_the_end(start: float, length: float, num_frames: int) -> None:
    frames = [f"{number}.jpg" for number in range(num_frames)]
    taken = Segment(start=start, end=start + length).of(frames)
    assert taken
    assert taken == frames[frames.index(taken[0]) : frames.index(taken[-1]) + 1]


def test_a_video_without_a_folder_is_a_bad_sample(tmp_path: Path) -> None:
    _video(tmp_path, "b", 1)
    with pytest.raises(BadSampleError, match=r"there is no 'a' in .*frames.*dataset.skip_missing_videos=true"):
        sampled_frames(tmp_path, "a", _PLACE, stride=1)


@pytest.mark.parametrize("name", ["../a", "/a", "~a"])
def test_a_video_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    _video(tmp_path, "a", 1)
    with pytest.raises(BadSampleError):
        sampled_frames(tmp_path, name, _PLACE, stride=1)


def test_rows_whose_video_has_no_folder_are_left_out_on_demand(tmp_path: Path) -> None:
    _video(tmp_path, "b", 1)
    assert with_frames([{"video": "a"}, {"video": "b"}, {"video": None}], tmp_path) == [{"video": "b"}]


def test_no_video_at_all_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    _video(tmp_path, "b", 1)
    with pytest.raises(ValueError, match="skip_missing_videos: no video of this split has a folder in"):
        with_frames([{"video": "a"}], tmp_path)
