"""Questions in one file and their answers in another, as VQA has them and OK-VQA after it.

    *_questions.json           {"questions": [{"question_id": 262148000, "image_id": 262148, "question"}]}
    *_annotations.json         {"annotations": [{"question_id": 262148000, "answers": [{"answer", ...}], ...}]}
    train2014/COCO_train2014_000000262148.jpg

Source:
    https://visualqa.org/download.html; GT-Vision-Lab/VQA, README; big_vision datasets/okvqa/okvqa.py.
"""

from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import by_id, find_annotations, read_json_list
from datasets_adapters.published.rows import ReadRow, Row, RowSource, image_at, pack_rows, texts_under
from datasets_adapters.rows import RowPlace, read_id, read_text
from finetune.types import DataCard, Sample


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


def open_vqa(root: str, files: VqaFiles, card: DataCard, read: ReadRow) -> RowSource:
    """Join the questions with their answers, which stand under `annotation` in each row; without it, they are hidden.

    Raises:
        ValueError: If a file is missing or is another one.
    """
    folder = existing_folder("dataset.root", Path(root))
    path = find_annotations(folder, files.questions, card)
    rows = read_json_list(path, "questions")
    if files.answers is not None:
        answers_path = find_annotations(folder, files.answers, card)
        answers = by_id(read_json_list(answers_path, "annotations"), "question_id", answers_path)
        # A question without its annotation is refused when it is drawn.
        rows = [row | {"annotation": answers.get(row.get("question_id"), {})} for row in rows]
    stem = f"{files.images}/COCO_{files.images}"
    packed = [row | {"image": f"{stem}_{row.get('image_id')!s:0>12}.jpg"} for row in rows]
    return pack_rows(packed, read=read, file=path.name, unit="question", id_key="question_id")


def read_question(root: str, row: Row, place: RowPlace) -> Sample:
    """Read a joined row.

    Raises:
        BadSampleError: If it breaks a rule.
    """
    read_id(row.get("question_id"), "question_id", place)
    annotation = row.get("annotation")
    return Sample(
        sample_id=place.sample_id,
        origin=place.origin,
        images=(image_at(root, row["image"], "image_id", place),),
        question=read_text(row.get("question"), "question", place),
        answers=() if annotation is None else texts_under(annotation.get("answers"), "answer", "answers", place),
        public_id=row["question_id"],
    )
