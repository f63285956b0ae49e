"""Frames of videos: which are shown, and what a missing video means."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasets_adapters.published.videos import WHOLE, Segment, find_segment, with_frames
from datasets_adapters.rows import RowPlace
from finetune.types import BadSampleError

_PLACE = RowPlace(origin="videos.json: video a", sample_id="a")


def _video(root: Path, name: str, num_frames: int) -> None:
    folder = root / "frames" / name
    folder.mkdir(parents=True)
    for number in range(1, num_frames + 1):
        (folder / f"{number}.jpg").touch()


def test_frames_are_taken_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    _video(tmp_path, "a", 12)
    taken = find_segment(tmp_path, "a", _PLACE, WHOLE)
    assert [image.name for image in taken] == [f"a/{number}.jpg" for number in range(1, 13)]


def test_a_segment_gives_the_frames_between_its_ends(tmp_path: Path) -> None:
    _video(tmp_path, "a", 10)
    taken = find_segment(tmp_path, "a", _PLACE, Segment(start=0.5, end=0.9))
    assert [image.name for image in taken] == [f"a/{number}.jpg" for number in (6, 7, 8, 9)]


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
        find_segment(tmp_path, "a", _PLACE, WHOLE)


@pytest.mark.parametrize("name", ["../a", "/a", "~a"])
def test_a_video_never_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    _video(tmp_path, "a", 1)
    with pytest.raises(BadSampleError):
        find_segment(tmp_path, name, _PLACE, WHOLE)


def test_rows_whose_video_has_no_folder_are_left_out_on_demand(tmp_path: Path) -> None:
    _video(tmp_path, "b", 1)
    rows = [{"video": "a"}, {"video": "b"}]
    assert with_frames(rows, Path("train.json"), tmp_path) == [{"video": "b"}]


@pytest.mark.parametrize("value", [None, [], {}, 7])
def test_what_is_no_name_of_a_video_stays_to_be_refused_by_its_row(tmp_path: Path, value: object) -> None:
    _video(tmp_path, "b", 1)
    assert with_frames([{"video": value}], Path("train.json"), tmp_path) == [{"video": value}]


def test_no_video_at_all_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    _video(tmp_path, "b", 1)
    with pytest.raises(ValueError, match=r"skip_missing_videos: no video of this split of train\.json has a folder in"):
        with_frames([{"video": "a"}], Path("train.json"), tmp_path)
