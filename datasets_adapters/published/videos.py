"""Videos, each as a folder of its frames under frames/: which of them a row shows, and which videos are there at all.

ffmpeg -i videos/video7.mp4 -fps_mode passthrough -q:v 2 frames/video7/%06d.jpg     every frame, as it was filmed
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.paths import existing_folder, find_file, find_frames
from datasets_adapters.published.rows import Row
from datasets_adapters.rows import RowPlace
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


def sampled_frames(
    root: Path, video: str, place: RowPlace, *, stride: int, segment: Segment = WHOLE
) -> tuple[ImageFile, ...]:
    """Return the first frame of a video, or of a segment of it, and every `stride`-th after it.

    Raises:
        BadSampleError: If the video has no folder, or its folder holds no image.
    """
    folder = root / FRAMES
    try:
        frames = find_frames(folder, video, "video", place)
    except BadSampleError as error:
        advice = f"{error.message}; dataset.skip_missing_videos=true leaves out videos without a folder"
        place.refuse("video", error.code, advice)
    names = segment.of(frames)[::stride]
    return tuple(ImageFile(name=name, path=find_file(folder, name, "video", place)) for name in names)


def with_frames(rows: Iterable[Row], root: Path) -> list[Row]:
    """Return the rows whose `video` has a folder.

    Raises:
        ValueError: If none has.
    """
    folder = existing_folder("dataset.root", root / FRAMES)
    present = {entry.name for entry in os.scandir(folder) if entry.is_dir()}
    kept = [row for row in rows if row.get("video") in present]
    if not kept:
        raise ValueError(
            f"dataset.skip_missing_videos: no video of this split has a folder in {folder}: extract frames"
        )
    return kept
