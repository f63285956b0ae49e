"""GQA (Hudson and Manning, 2019): compositional questions about scene graphs of photographs, one answer each.

    train_balanced_questions.json   {"201307251": {"imageId": "n161313", "question", "answer", "fullAnswer", ...}}
    images/n161313.jpg

The questions of test and challenge come without answers. Each file holds everything that is known of a question: most
of it is passed over, and opening the training split takes a while.

Source:
    big_vision datasets/gqa/gqa.py (0127fb6), with its counts; e-bug/iglue datasets/gqa/annotations, for rows. The
    server's form is that of the authors' eval.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_members
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

_ANSWERED = ("train_balanced", "val_balanced", "testdev_balanced", "val_all", "testdev_all")
_HIDDEN = ("test_balanced", "challenge_balanced", "test_all", "challenge_all", "submission_all")
_KEPT = ("imageId", "question", "answer")


@dataclass(frozen=True, kw_only=True)
class Gqa(PublishedDataset):
    """Questions and answers of GQA, by the names of the authors' files.

    Args:
        root: Folder with train_balanced_questions.json and so on, and the folder images, both from
            cs.stanford.edu/people/dorarad/gqa/download.html (CC BY 4.0; images: Flickr's terms).
        train_split, eval_split: Of train_balanced, val_balanced, testdev_balanced, the same with _all but for training,
            and test_, challenge_ and submission_all without answers; or slices and sums of them.
    """

    card = DataCard(
        title="GQA",
        homepage="https://cs.stanford.edu/people/dorarad/gqa/download.html",
        licence="questions CC BY 4.0, images under Flickr's terms",
        counts={"train_balanced": 943_000, "val_balanced": 132_062, "testdev_balanced": 12_578},
        counts_source="big_vision datasets/gqa/gqa.py",
    )
    splits = (*_ANSWERED, *_HIDDEN)
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="questionId",
        answer_key="prediction",
        server="https://cs.stanford.edu/people/dorarad/gqa/evaluate.html",
    )

    train_split: str = "train_balanced"
    eval_split: str = "testdev_balanced"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"{name}_questions.json")
        rows = (row | {"is_hidden": name in _HIDDEN} for row in question_rows(path))
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="question_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(f"images/{row.get('imageId')}.jpg", "imageId", place),),
            question=read_text(row.get("question"), "question", place),
            answers=() if row["is_hidden"] else (read_text(row.get("answer"), "answer", place),),
            public_id=place.sample_id,
        )


def question_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield what is used of each question in one of GQA's files, and its id as `question_id`.

    Raises:
        ValueError: If the file holds something else.
    """
    for identifier, question in read_json_members(path):
        known: Mapping[str, Any] = question if isinstance(question, dict) else {}
        yield {"question_id": identifier} | {name: known[name] for name in _KEPT if name in known}
