"""Questions that Xu et al. (2017) generated from the captions of videos: MSRVTT-QA and MSVD-QA.

    train_qa.json   [{"id": 30933, "video_id": 1201, "question": "who pours liquid?", "answer": "someone"}]

Source:
    xudejing/video-question-answering, README and preprocess_*.py (files, and how numbers name videos).
"""

from collections.abc import Callable
from pathlib import Path

from datasets_adapters.published.files import find_annotations, read_json_list
from datasets_adapters.published.rows import ReadRow, Row, RowSource, pack_rows
from datasets_adapters.published.videos import sampled_frames, with_frames
from datasets_adapters.rows import RowPlace, read_text
from finetune.types import DataCard, Sample

SPLITS = ("train", "val", "test")


def open_questions(
    root: Path,
    name: str,
    card: DataCard,
    *,
    video_of: Callable[[object], str],
    read: ReadRow,
    skip_missing_videos: bool,
) -> RowSource:
    """Open the questions of one split.

    Args:
        video_of: From the number of a video to the name of its folder.

    Raises:
        ValueError: If the file is missing or is another one.
    """
    path = find_annotations(root, f"{name}_qa.json", card)
    rows: list[Row] = [row | {"video": video_of(row.get("video_id"))} for row in read_json_list(path)]
    rows = with_frames(rows, root) if skip_missing_videos else rows
    return pack_rows(rows, read=read, file=path.name, unit="question", id_key="id")


def read_question(row: Row, place: RowPlace, *, root: Path, stride: int) -> Sample:
    """Read one question.

    Raises:
        BadSampleError: If it lacks its text or its answer, or its video has no frames.
    """
    return Sample(
        sample_id=place.sample_id,
        origin=place.origin,
        images=sampled_frames(root, row["video"], place, stride=stride),
        question=read_text(row.get("question"), "question", place),
        answers=(read_text(row.get("answer"), "answer", place),),
        public_id=row.get("id"),
    )
