"""MSR-VTT (Xu et al., 2016): short clips from YouTube, about twenty captions each.

    train_val_videodatainfo.json   {"videos": [{"video_id": "video0", "split": "train", "start time", "end time", ...}],
                                    "sentences": [{"sen_id", "video_id", "caption"}]}
    test_videodatainfo.json        the same, with the split "test"
    frames/video0/000001.jpg       extracted by you

Everything in one file, MSRVTT_data.json, is taken, too.

Source:
    The data set's own readme (rows, and which videos belong to which split); big_vision transfers/msrvtt_cap.py, which
    counted 4663, 316 and 2094 videos that still existed in April 2024.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import find_annotations, read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.published.videos import sampled_frames, with_frames
from datasets_adapters.rows import RowPlace, read_texts
from finetune.settings import at_least
from finetune.types import DataCard, Sample, Source

# The split's name in the files, and the files that hold it.
_SPLITS = {
    "train": ("train", ("train_val_videodatainfo.json", "MSRVTT_data.json")),
    "val": ("validate", ("train_val_videodatainfo.json", "MSRVTT_data.json")),
    "test": ("test", ("test_videodatainfo.json", "MSRVTT_data.json")),
}


@dataclass(frozen=True, kw_only=True)
class MsrvttCap:
    """Clips of MSR-VTT with their captions, one row a clip.

    Args:
        root: Folder with train_val_videodatainfo.json and test_videodatainfo.json, or MSRVTT_data.json, of which
            huggingface.co/datasets/friedrichor/MSR-VTT keeps a copy (for research, clips under YouTube's terms), and
            frames/video0/ and so on for each: ffmpeg -i video0.mp4 -fps_mode passthrough -q:v 2 frames/video0/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
        frame_stride: Of a clip's frames, take the first one and every so many after it.
        skip_missing_videos: Leave out clips that have no folder of frames: some can no longer be had.
    """

    card: ClassVar[DataCard] = DataCard(
        title="MSR-VTT",
        homepage="https://huggingface.co/datasets/friedrichor/MSR-VTT (a copy)",
        licence="for research, clips under YouTube's terms",
        counts={"train": 6513, "val": 497, "test": 2990},
        counts_source="the data set's readme: video0 to video6512, video6513 to video7009, video7010 to video9999",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "val"
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
        split, files = _SPLITS[name]
        path = find_annotations(root, files, self.card)
        captions: dict[object, list[object]] = defaultdict(list)
        for sentence in read_json_list(path, "sentences"):
            captions[sentence.get("video_id")].append(sentence.get("caption"))
        videos = [video for video in read_json_list(path, "videos") if video.get("split") == split]
        if not videos:
            raise ValueError(f"{path} has no video of the split {split!r}; is it another file?")
        rows: list[Row] = [{"video": v.get("video_id"), "captions": captions[v.get("video_id")]} for v in videos]
        rows = with_frames(rows, root) if self.skip_missing_videos else rows
        return pack_rows(rows, read=self._read, file=path.name, unit="video", id_key="video")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=sampled_frames(Path(self.root), place.sample_id, place, stride=self.frame_stride),
            captions=read_texts(row["captions"], "caption", place),
        )
