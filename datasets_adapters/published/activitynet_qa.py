"""ActivityNet-QA (Yu et al., 2019): ten questions about each of 5800 videos, minutes long.

    train_q.json   [{"video_name": "okC18bPTils", "question": "are all of them men", "question_id": "v_okC18bPTils_3"}]
    train_a.json   [{"question_id": "v_okC18bPTils_3", "answer": "no", "type": 3}]
    frames/v_okC18bPTils/000001.jpg   extracted by you, the folders named as those of ActivityNet's captions

Source:
    MILVLG/activitynet-qa, dataset/README.md and its six files; big_vision transfers/activitynet_qa.py, which counted
    27610, 15760 and 6900 questions whose videos still existed in April 2024.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import by_id, find_annotations, read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.published.videos import sampled_frames, with_frames
from datasets_adapters.rows import RowPlace, quote, read_text
from finetune.settings import at_least
from finetune.types import DataCard, Sample, Source

_SPLITS = ("train", "val", "test")
_TYPES = ("motion", "spatial", "temporal", "yesno", "color", "object", "location", "number", "other")


@dataclass(frozen=True, kw_only=True)
class ActivitynetQa:
    """Questions and answers of ActivityNet-QA.

    Scores can be told apart by motion, spatial, temporal, yesno, color, object, location, number and other.

    Args:
        root: Folder with train_q.json, train_a.json and so on, from github.com/MILVLG/activitynet-qa, dataset (not for
            commercial use; videos: activity-net.org/download.html), and frames/v_<id>/ for each video:
            ffmpeg -i v_<id>.mp4 -fps_mode passthrough -q:v 2 frames/v_<id>/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
        frame_stride: Of a video's frames, take the first one and every so many after it.
        skip_missing_videos: Leave out questions whose video has no folder of frames: many can no longer be had.
    """

    card: ClassVar[DataCard] = DataCard(
        title="ActivityNet-QA",
        homepage="https://github.com/MILVLG/activitynet-qa",
        licence="Apache-2.0, not for commercial use; videos under YouTube's terms",
        counts={"train": 32_000, "val": 18_000, "test": 8_000},
        counts_source="https://github.com/MILVLG/activitynet-qa, dataset/README.md",
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
        path = find_annotations(root, f"{name}_q.json", self.card)
        answers_path = find_annotations(root, f"{name}_a.json", self.card)
        answers = by_id(read_json_list(answers_path), "question_id", answers_path)
        rows: list[Row] = [
            row | {"video": f"v_{row.get('video_name')}", "annotation": answers.get(row.get("question_id"), {})}
            for row in read_json_list(path)
        ]
        rows = with_frames(rows, root) if self.skip_missing_videos else rows
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="question_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        annotation = row["annotation"]
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=sampled_frames(Path(self.root), row["video"], place, stride=self.frame_stride),
            question=read_text(row.get("question"), "question", place),
            answers=(read_text(annotation.get("answer"), "answer", place),),
            category=_category(annotation.get("type"), place),
            public_id=row.get("question_id"),
        )


def _category(number: object, place: RowPlace) -> str:
    if not isinstance(number, int) or not 0 <= number < len(_TYPES):
        place.refuse("type", "unknown-type", f"must be 0 to {len(_TYPES) - 1}, got {quote(number)}")
    return _TYPES[number]
