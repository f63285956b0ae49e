"""MSVD-QA (Xu et al., 2017): questions about the clips of MSVD (Chen & Dolan, 2011), one word each to answer.

    train_qa.json         [{"id": 0, "video_id": 1, "question": "what is playing?", "answer": "dog"}]
    youtube_mapping.txt   -4wsuPCjDBc_5_15 vid1
    frames/-4wsuPCjDBc_5_15/000001.jpg   extracted by you; folders are named as the clips' files are

Source:
    As `generated_qa`; big_vision transfers/msvd_qa.py, which counted 24670, 5107 and 10136 questions whose clips still
    existed in April 2024.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import find_annotations
from datasets_adapters.published.generated_qa import SPLITS, open_questions, read_question
from datasets_adapters.published.rows import Row, RowSource
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace
from finetune.settings import at_least
from finetune.types import DataCard, Sample, Source

_MAPPING = "youtube_mapping.txt"


@dataclass(frozen=True, kw_only=True)
class MsvdQa:
    """Questions and answers of MSVD-QA.

    Args:
        root: Folder with train_qa.json, val_qa.json, test_qa.json and youtube_mapping.txt, from
            github.com/xudejing/video-question-answering (the clips: YouTubeClips.tar of
            cs.utexas.edu/users/ml/clamp/videoDescription, for research), and frames/<clip>/ for each:
            ffmpeg -i <clip>.avi -fps_mode passthrough -q:v 2 frames/<clip>/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
        frame_stride: Of a clip's frames, take the first one and every so many after it.
        skip_missing_videos: Leave out questions whose clip has no folder of frames.
    """

    card: ClassVar[DataCard] = DataCard(
        title="MSVD-QA",
        homepage="https://github.com/xudejing/video-question-answering",
        licence="MIT, clips under YouTube's terms",
        counts={"train": 30_933, "val": 6_415, "test": 13_157},
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
        clips = _clip_names(find_annotations(root, _MAPPING, self.card))
        skip = self.skip_missing_videos
        return open_questions(
            root,
            name,
            self.card,
            # A number without a name is refused when the question is drawn: no such folder will be there.
            video_of=lambda number: clips.get(f"vid{number}", f"vid{number}"),
            read=self._read,
            skip_missing_videos=skip,
        )

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return read_question(row, place, root=Path(self.root), stride=self.frame_stride)


def _clip_names(path: Path) -> dict[str, str]:
    """Return the clips' names by the numbers that stand for them, such as "vid1".

    Raises:
        ValueError: If a line is not a name and a number.
    """
    pairs = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    for line_number, pair in enumerate(pairs, start=1):
        if len(pair) != 2:
            raise ValueError(f"{path}:{line_number} must be a clip's name and its number, such as 'abc_5_15 vid1'")
    return {number: name for name, number in pairs}
