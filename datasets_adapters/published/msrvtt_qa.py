"""MSRVTT-QA (Xu et al., 2017): questions about the clips of MSR-VTT, one word each to answer.

    train_qa.json   [{"id": 0, "video_id": 0, "category_id": 9, "question": "what is a car doing?", "answer": "drive"}]
    frames/video0/000001.jpg   extracted by you; the number of a row names its clip

Source:
    As `generated_qa`; big_vision transfers/msrvtt_qa.py, which counted 114080, 7936 and 51680 questions whose clips
    still existed in April 2024.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.generated_qa import SPLITS, open_questions, read_question
from datasets_adapters.published.rows import Row, RowSource
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace
from finetune.settings import at_least
from finetune.types import DataCard, Sample, Source


@dataclass(frozen=True, kw_only=True)
class MsrvttQa:
    """Questions and answers of MSRVTT-QA.

    Args:
        root: Folder with train_qa.json, val_qa.json and test_qa.json, from
            github.com/xudejing/video-question-answering (MIT; clips under YouTube's terms), and frames/video0/ and so
            on, for each clip of MSR-VTT: ffmpeg -i video0.mp4 -fps_mode passthrough -q:v 2 frames/video0/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
        frame_stride: Of a clip's frames, take the first one and every so many after it.
        skip_missing_videos: Leave out questions whose clip has no folder of frames: some can no longer be had.
    """

    card: ClassVar[DataCard] = DataCard(
        title="MSRVTT-QA",
        homepage="https://github.com/xudejing/video-question-answering",
        licence="MIT, clips under YouTube's terms",
        counts={"train": 158_581, "val": 12_278, "test": 72_821},
        counts_source="Xu et al., Video Question Answering via Gradually Refined Attention, 2017",
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
        return open_split(split, SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        skip = self.skip_missing_videos
        return open_questions(root, name, self.card, video_of=_clip, read=self._read, skip_missing_videos=skip)

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return read_question(row, place, root=Path(self.root), stride=self.frame_stride)


def _clip(number: object) -> str:
    return f"video{number}"
