"""Questions in one file and their answers in another, as VQA has them and OK-VQA after it.

    *_questions.json           {"questions": [{"question_id": 262148000, "image_id": 262148, "question"}]}
    *_annotations.json         {"annotations": [{"question_id": 262148000, "answers": [{"answer", ...}], ...}]}
    train2014/COCO_train2014_000000262148.jpg

Source:
    https://visualqa.org/download.html; GT-Vision-Lab/VQA, README; big_vision datasets/okvqa/okvqa.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.ids import by_id, under_id
from datasets_adapters.published.rows import Row, RowSource, pack_rows, public_id, texts_under
from datasets_adapters.rows import RowPlace, read_text
from finetune.types import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class VqaFiles:
    """The files of one split, seen from the data set's folder.

    Args:
        answers: None where they are hidden.
        images: The folder of the images, whose names repeat it.
    """

    questions: str
    answers: str | None
    images: str


@dataclass(frozen=True, kw_only=True)
class VqaDataset(PublishedDataset):
    """A data set of such files; those of each split stand in `splits`."""

    splits: ClassVar[Mapping[str, VqaFiles]]

    def _open_one(self, name: str) -> RowSource:
        files = self.splits[name]
        path = self.annotations(files.questions)
        rows = read_json_list(path, "questions")
        # A row without `annotation` is one whose answers are hidden.
        if files.answers is not None:
            answers_path = self.annotations(files.answers)
            answers = by_id(read_json_list(answers_path, "annotations"), "question_id", answers_path)
            # A question without its annotation is refused when it is drawn.
            rows = [row | {"annotation": under_id(row.get("question_id"), answers, {})} for row in rows]
        stem = f"{files.images}/COCO_{files.images}"
        packed = [row | {"image": f"{stem}_{row.get('image_id')!s:0>12}.jpg"} for row in rows]
        return pack_rows(packed, read=self._read, file=path.name, unit="question", id_key="question_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        identifier = public_id(row, "question_id", place)
        annotation = row.get("annotation")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(row["image"], "image_id", place),),
            question=read_text(row.get("question"), "question", place),
            answers=() if annotation is None else texts_under(annotation.get("answers"), "answer", "answers", place),
            public_id=identifier,
        )
