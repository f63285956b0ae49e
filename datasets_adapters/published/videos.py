"""Videos, each as a folder of its frames under frames/: which of them a row shows, and which videos are there at all.

ffmpeg -i videos/video7.mp4 -fps_mode passthrough -q:v 2 frames/video7/%06d.jpg     every frame, as it was filmed
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.paths import existing_folder, find_file, find_frames
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.rows import Row
from datasets_adapters.rows import RowPlace
from finetune.settings import at_least
from finetune.types import BadSampleError, ImageFile

FRAMES = "frames"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a video, as fractions of its length. What lies beyond an end of the video counts as that end."""

    start: float
    end: float

    def of(self, frames: list[str]) -> list[str]:
        """Return the frames that fall into it, at least one."""
        first = min(max(math.floor(self.start * len(frames)), 0), len(frames) - 1)
        stop = max(math.ceil(self.end * len(frames)), first + 1)
        return frames[first:stop]


WHOLE = Segment(start=0.0, end=1.0)


@dataclass(frozen=True, kw_only=True)
class PublishedVideos(PublishedDataset):
    """A data set of videos; a row names its own under `video`.

    Args:
        root: Folder of the authors' files, and of frames.
        frame_stride: Of a row's frames, show one and every so many after it; data.random_start says which is the first.
        skip_missing_videos: Leave out rows whose video has no folder of frames: many can no longer be had.
    """

    frame_stride: int = 1
    skip_missing_videos: bool = False

    def __post_init__(self) -> None:
        at_least("frame_stride", self.frame_stride, 1)

    def shown(self, rows: Iterable[Row], path: Path) -> Iterable[Row]:
        """Return the rows of a file that take part. Raises as `with_frames`."""
        return with_frames(rows, path, self.folder) if self.skip_missing_videos else rows

    def frames(self, video: str, place: RowPlace, *, segment: Segment = WHOLE) -> tuple[ImageFile, ...]:
        """Return a row's part of its video, from which `frame_stride` chooses later. Raises as `find_segment`."""
        return find_segment(Path(self.root), video, place, segment)


def find_segment(root: Path, video: str, place: RowPlace, segment: Segment) -> tuple[ImageFile, ...]:
    """Return the frames of a segment of a video.

    Raises:
        BadSampleError: If the video has no folder, or its folder holds no image.
    """
    folder = root / FRAMES
    try:
        frames = find_frames(folder, video, "video", place)
    except BadSampleError as error:
        advice = f"{error.message}; dataset.skip_missing_videos=true leaves out videos without a folder"
        place.refuse("video", error.code, advice)
    return tuple(ImageFile(name=name, path=find_file(folder, name, "video", place)) for name in segment.of(frames))


def with_frames(rows: Iterable[Row], path: Path, root: Path) -> list[Row]:
    """Return the rows whose `video` has a folder.

    Args:
        path: The file that they stand in, for the message.

    Raises:
        ValueError: If none has.
    """
    folder = existing_folder("dataset.root", root / FRAMES)
    present = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    # What is no name stays, and is refused when it is drawn.
    kept = [row for row in rows if not isinstance(row.get("video"), str) or row["video"] in present]
    if not kept:
        raise ValueError(
            f"dataset.skip_missing_videos: no video of this split of {path.name} has a folder in {folder}: "
            "extract frames"
        )
    return kept
