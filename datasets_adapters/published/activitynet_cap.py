"""ActivityNet Captions (Krishna et al., 2017): the events of a video, each with its time and a sentence.

    train.json   {"v_QOlSCBRmfWY": {"duration": 82.7, "timestamps": [[0.8, 19.9], ...], "sentences": ["A girl", ...]}}
    val_1.json   the validation videos as one person described them; val_2.json: as another did
    frames/v_QOlSCBRmfWY/000001.jpg   extracted by you, from the whole video

A row is one event. Its frames are those that lie between its two times, taking the folder's frames to be spread evenly
over the video's duration, so that any rate of extraction does.

Source:
    https://cs.stanford.edu/people/ranjaykrishna/densevid/; big_vision transfers/activitynet_cap.py, whose rows are
    events too (their names hold the two times). It counted 30545, 14338 and 13982 that still existed in April 2024:
    82 % each of train.json, val_1.json and val_2.json, so that val_2 is its test split.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import find_annotations, read_json_object
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.published.videos import Segment, sampled_frames, with_frames
from datasets_adapters.rows import RowPlace, quote, read_number, read_text
from finetune.settings import at_least
from finetune.types import DataCard, Sample, Source

_SPLITS = ("train", "val_1", "val_2")


@dataclass(frozen=True, kw_only=True)
class ActivitynetCap:
    """Events of ActivityNet Captions, one row each.

    Args:
        root: Folder with train.json, val_1.json and val_2.json, of captions.zip from
            cs.stanford.edu/people/ranjaykrishna/densevid (for research; videos: activity-net.org/download.html), and
            frames/v_<id>/ for each video: ffmpeg -i v_<id>.mp4 -fps_mode passthrough -q:v 2 frames/v_<id>/%06d.jpg
        train_split, eval_split: Of train, val_1 and val_2, or slices and sums of them.
        frame_stride: Of an event's frames, take the first one and every so many after it.
        skip_missing_videos: Leave out events whose video has no folder of frames: many can no longer be had.
    """

    card: ClassVar[DataCard] = DataCard(
        title="ActivityNet Captions",
        homepage="https://cs.stanford.edu/people/ranjaykrishna/densevid/",
        licence="for research, videos under YouTube's terms",
        counts={"train": 37_421, "val_1": 17_505, "val_2": 17_031},
        counts_source="the files of that page, as those who read them count",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "val_1"
    frame_stride: int = 1
    skip_missing_videos: bool = False

    def __post_init__(self) -> None:
        at_least("frame_stride", self.frame_stride, 1)

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, f"{name}.json", self.card)
        rows: list[Row] = [row for key, value in read_json_object(path).items() for row in _events(key, value, path)]
        rows = with_frames(rows, root) if self.skip_missing_videos else rows
        return pack_rows(rows, read=self._read, file=path.name, unit="event", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        segment = _segment(row["times"], row["duration"], place)
        images = sampled_frames(Path(self.root), row["video"], place, stride=self.frame_stride, segment=segment)
        caption = read_text(row["sentence"], "sentences", place).strip()
        return Sample(
            sample_id=place.sample_id, origin=place.origin, images=images, captions=(caption,), notes=place.notes
        )


def _events(video: str, value: object, path: Path) -> Iterator[Row]:
    """Yield a video's events. The file's name is in their ids, as the two validation files describe the same videos.

    Raises:
        ValueError: If it has not as many sentences as times.
    """
    fields = value if isinstance(value, Mapping) else {}
    times, sentences = fields.get("timestamps"), fields.get("sentences")
    if not isinstance(times, list) or not isinstance(sentences, list) or len(times) != len(sentences):
        raise ValueError(f"{path}: {video} must have as many timestamps as sentences; is it another file?")
    for index, (pair, sentence) in enumerate(zip(times, sentences, strict=True)):
        name = f"{path.stem}/{video}/{index}"
        yield {"id": name, "video": video, "duration": fields.get("duration"), "times": pair, "sentence": sentence}


def _segment(times: object, duration: object, place: RowPlace) -> Segment:
    if not isinstance(times, list) or len(times) != 2:
        place.refuse("timestamps", "wrong-type", f"must be a start and an end in seconds, got {quote(times)}")
    seconds = read_number(duration, "duration", place)
    if seconds <= 0:
        place.refuse("duration", "out-of-range", f"must be above 0 seconds, got {seconds}")
    start, end = (read_number(time, "timestamps", place) for time in times)
    if start > end:
        place.notes["events whose end stood before their start"] += 1
    return Segment(start=min(start, end) / seconds, end=max(start, end) / seconds)
