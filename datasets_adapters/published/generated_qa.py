"""Questions that Xu et al. (2017) generated from the captions of videos: MSRVTT-QA and MSVD-QA.

    train_qa.json   [{"id": 30933, "video_id": 1201, "question": "who pours liquid?", "answer": "someone"}]

Source:
    xudejing/video-question-answering, README and preprocess_*.py (files, and how numbers name videos).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows, public_id
from datasets_adapters.published.videos import PublishedVideos
from datasets_adapters.rows import RowPlace, read_text
from finetune.types import Sample


@dataclass(frozen=True, kw_only=True)
class GeneratedQa(PublishedVideos, ABC):
    """Questions of one of the two, whose videos' names follow from their numbers."""

    @abstractmethod
    def _video_names(self) -> Callable[[object], str]:
        """Return what leads from the number of a video to the name of its folder."""

    def _open_one(self, name: str) -> RowSource:
        video_of = self._video_names()
        path = self.annotations(f"{name}_qa.json")
        rows = [row | {"video": video_of(row.get("video_id"))} for row in read_json_list(path)]
        return pack_rows(self.shown(rows, path), read=self._read, file=path.name, unit="question", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=self.frames(row["video"], place),
            frame_stride=self.frame_stride,
            question=read_text(row.get("question"), "question", place),
            answers=(read_text(row.get("answer"), "answer", place),),
            public_id=public_id(row, "id", place),
        )
