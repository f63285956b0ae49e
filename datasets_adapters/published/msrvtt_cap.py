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

from dataclasses import dataclass

from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.ids import grouped_by_id, under_id
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.videos import PublishedVideos
from datasets_adapters.rows import RowPlace, read_texts
from finetune.published import DataCard
from finetune.types import Sample

# The split's name in the files, and the files that hold it.
_SPLITS = {
    "train": ("train", ("train_val_videodatainfo.json", "MSRVTT_data.json")),
    "val": ("validate", ("train_val_videodatainfo.json", "MSRVTT_data.json")),
    "test": ("test", ("test_videodatainfo.json", "MSRVTT_data.json")),
}


@dataclass(frozen=True, kw_only=True)
class MsrvttCap(PublishedVideos):
    """Clips of MSR-VTT with their captions, one row a clip.

    Args:
        root: Folder with train_val_videodatainfo.json and test_videodatainfo.json, or MSRVTT_data.json, of which
            huggingface.co/datasets/friedrichor/MSR-VTT keeps a copy (for research, clips under YouTube's terms), and
            frames/video0/ and so on for each: ffmpeg -i video0.mp4 -fps_mode passthrough -q:v 2 frames/video0/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="MSR-VTT",
        homepage="https://huggingface.co/datasets/friedrichor/MSR-VTT (a copy)",
        licence="for research, clips under YouTube's terms",
        counts={"train": 6513, "val": 497, "test": 2990},
        counts_source="the data set's readme: video0 to video6512, video6513 to video7009, video7010 to video9999",
    )
    splits = _SPLITS

    def _open_one(self, name: str) -> RowSource:
        split, files = _SPLITS[name]
        path = self.annotations(files)
        sentences = grouped_by_id(read_json_list(path, "sentences"), "video_id", path)
        clips = [clip for clip in read_json_list(path, "videos") if clip.get("split") == split]
        if not clips:
            raise ValueError(f"{path} has no video of the split {split!r}; is it another file?")
        rows = [
            {"video": video, "captions": [sentence.get("caption") for sentence in under_id(video, sentences, [])]}
            for video in (clip.get("video_id") for clip in clips)
        ]
        return pack_rows(self.shown(rows, path), read=self._read, file=path.name, unit="video", id_key="video")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=self.frames(place.sample_id, place),
            frame_stride=self.frame_stride,
            captions=read_texts(row["captions"], "caption", place),
        )
