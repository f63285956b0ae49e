"""OCR-VQA (Mishra et al., 2019): questions about covers of books, by templates.

    dataset.json          {"0761183272": {"imageURL": "http://ecx.images-amazon.com/images/I/61Y5cOdHJbL.jpg",
                           "split": 1, "questions": ["Who wrote this book?", ...], "answers": ["Sandra Boynton", ...]}}
    images/0761183272.jpg

Splits 1, 2 and 3 are train, val and test. Answers stand in the order of the questions.

Source:
    https://ocr-vqa.github.io; mmpretrain datasets/ocr_vqa.py (an example row, names of images, numbers of splits).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_object
from datasets_adapters.published.question_rows import first_file
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import ImageFile, Sample

_SPLITS = {"train": 1, "val": 2, "test": 3}


@dataclass(frozen=True, kw_only=True)
class OcrVqa(PublishedDataset):
    """Questions and answers of OCR-VQA, each question a sample.

    Args:
        root: Folder with dataset.json and the folder images of covers, which the authors' loadDataset.py downloads,
            both from ocr-vqa.github.io (for research; covers are of their publishers).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="OCR-VQA",
        homepage="https://ocr-vqa.github.io",
        licence="see the download page; covers are of their publishers",
        # The authors give 207 572 covers and "more than a million" questions, but no number of questions a split.
        counts={},
        counts_source="Mishra et al., OCR-VQA (2019)",
    )
    splits = _SPLITS

    eval_split: str = "test"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations("dataset.json")
        books = read_json_object(path).items()
        rows = [row for book, entry in books for row in _questions(book, entry, path) if row["split"] == _SPLITS[name]]
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        address = read_text(row.get("imageURL"), "imageURL", place)
        name = f"images/{row['book']}{PurePosixPath(address).suffix}"
        path = first_file(Path(self.root), (name, f"images/{row['book']}.jpg"), "imageURL", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=name, path=path),),
            question=read_text(row.get("question"), "question", place),
            answers=(read_text(row.get("answer"), "answer", place),),
        )


def _questions(book: str, entry: Any, path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield each question of a book as a row.

    Raises:
        ValueError: If there are more or fewer answers than questions, or the book is in no split.
    """
    questions, answers = (entry.get("questions"), entry.get("answers")) if isinstance(entry, dict) else (None, None)
    if not isinstance(questions, list) or not isinstance(answers, list) or len(questions) != len(answers):
        raise ValueError(f"{path}: {book} must have as many answers as questions")
    if entry.get("split") not in _SPLITS.values():
        raise ValueError(f"{path}: {book} has split {entry.get('split')!r}; it must be 1, 2 or 3")
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        row = {"book": book, "imageURL": entry.get("imageURL"), "split": entry["split"]}
        yield row | {"id": f"{book}-{number}", "question": question, "answer": answer}
