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

from datasets_adapters.published.files import read_json_object
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.videos import PublishedVideos, Segment
from datasets_adapters.rows import RowPlace, quote, read_number, read_text
from finetune.published import DataCard
from finetune.types import Sample


@dataclass(frozen=True, kw_only=True)
class ActivitynetCap(PublishedVideos):
    """Events of ActivityNet Captions, one row each.

    Args:
        root: Folder with train.json, val_1.json and val_2.json, of captions.zip from
            cs.stanford.edu/people/ranjaykrishna/densevid (for research; videos: activity-net.org/download.html), and
            frames/v_<id>/ for each video: ffmpeg -i v_<id>.mp4 -fps_mode passthrough -q:v 2 frames/v_<id>/%06d.jpg
        train_split, eval_split: Of train, val_1 and val_2, or slices and sums of them.
    """

    card = DataCard(
        title="ActivityNet Captions",
        homepage="https://cs.stanford.edu/people/ranjaykrishna/densevid/",
        licence="for research, videos under YouTube's terms",
        counts={"train": 37_421, "val_1": 17_505, "val_2": 17_031},
        counts_source="the files of that page, as those who read them count",
    )
    splits = ("train", "val_1", "val_2")

    eval_split: str = "val_1"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"{name}.json")
        rows = [row for key, value in read_json_object(path).items() for row in _events(key, value, path)]
        return pack_rows(self.shown(rows, path), read=self._read, file=path.name, unit="event", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        segment = _segment(row["times"], row["duration"], place)
        images = self.frames(row["video"], place, segment=segment)
        caption = read_text(row["sentence"], "sentences", place).strip()
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=images,
            frame_stride=self.frame_stride,
            captions=(caption,),
            notes=place.notes,
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
