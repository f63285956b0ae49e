"""RSVQA (Lobry et al., 2020): questions about satellite images (LR) and aerial photographs (HR), made from maps.

    LR_split_train_questions.json   {"questions": [{"id": 0, "img_id": 0, "type": "presence", "question": "Is it wet?",
                                      "answers_ids": [0], "active": true}, {"id": 1, "active": false}]}
    LR_split_train_answers.json     {"answers": [{"id": 0, "question_id": 0, "answer": "yes", "active": true}]}
    Images_LR/0.tif

HR has USGS_split_*_*.json, and Data/0.png beside Data/0.tif; its second test set is USGS_split_test_phili. Entries that
are not active belong to another split. A count (LR) or an area (HR) is binned, as the authors do for their scores.

Source:
    https://rsvqa.sylvainlobry.com; big_vision datasets/rsvqa_lr/rsvqa_lr.py and rsvqa_hr/rsvqa_hr.py (0127fb6: files,
    bins, counts); isaaccorley/torchrs datasets/rsvqa.py (Images_LR/*.tif).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.ids import Id, by_id, under_id
from datasets_adapters.published.question_rows import first_file
from datasets_adapters.published.rows import Row, RowSource, pack_rows, public_id
from datasets_adapters.rows import RowPlace, quote, read_text
from finetune.types import ImageFile, Sample

# The largest number of each bin but the last, which is open.
_BINS = (0, 10, 100, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What tells the two data sets apart.

    Args:
        image_folder: Where images lie.
        suffixes: What their names may end with; the first that is there is taken.
        numeric_types: Types of questions that ask for a number.
        binned_type: The one of them whose answers are binned, and the unit that they end with.
        counts_without_numbers: Rows of each split where those types are left out; the card counts all.
    """

    image_folder: str
    suffixes: tuple[str, ...]
    numeric_types: tuple[str, ...]
    binned_type: str
    unit: str
    counts_without_numbers: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Rsvqa(PublishedDataset):
    """One of the two data sets. Its `splits` say what the names of each split's files start with.

    Args:
        root: Folder of the authors' files.
        numeric: Whether questions that ask for a number take part; the original leaves them out.
    """

    splits: ClassVar[Mapping[str, str]]
    form: ClassVar[Form]

    numeric: bool = True

    def __post_init__(self) -> None:
        if not self.numeric:
            # The class keeps a card of its own: who gives no `root` is told from it where to get one.
            object.__setattr__(self, "card", replace(self.card, counts=self.form.counts_without_numbers))

    def _open_one(self, name: str) -> RowSource:
        path, answers_path = (self.annotations(f"{self.splits[name]}_{part}.json") for part in ("questions", "answers"))
        answers = by_id(read_json_list(answers_path, "answers"), "id", answers_path)
        left_out = () if self.numeric else self.form.numeric_types
        rows = _active(read_json_list(path, "questions"), answers, left_out)
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        form = self.form
        kind = read_text(row.get("type"), "type", place)
        answer = read_text(row.get("answer"), "answer", place)
        names = [f"{form.image_folder}/{row['img_id']}.{suffix}" for suffix in form.suffixes]
        path = first_file(Path(self.root), names, "img_id", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=f"{form.image_folder}/{path.name}", path=path),),
            question=read_text(row.get("question"), "question", place),
            answers=(_binned(answer, form.unit, place) if kind == form.binned_type else answer,),
            category=kind,
            public_id=public_id(row, "id", place),
        )


def _active(
    questions: list[dict[str, Any]], answers: Mapping[Id, Mapping[str, Any]], left_out: tuple[str, ...]
) -> Iterator[Row]:
    """Yield questions with their answers; one that has none is refused when it is drawn."""
    for question in questions:
        if question.get("active") and question.get("type") not in left_out:
            identifiers = question.get("answers_ids")
            first = identifiers[0] if isinstance(identifiers, list) and identifiers else None
            answer = under_id(first, answers, {})
            kept = {key: question.get(key) for key in ("id", "img_id", "type", "question")}
            yield kept | {"answer": answer.get("answer")}


def _binned(answer: str, unit: str, place: RowPlace) -> str:
    """Return the bin of a number, such as "between 1 and 10" or "between 1 m2 and 10 m2"."""
    digits = answer.removesuffix(unit)
    if not digits.isdecimal():
        place.refuse(
            "answer", "not-a-number", f"must be a whole number{f' and {unit}' if unit else ''}, got {quote(answer)}"
        )
    number, space = int(digits), f" {unit}" if unit else ""
    if number > _BINS[-1]:
        return f"more than {_BINS[-1]}{space}"
    place_of = next(index for index, largest in enumerate(_BINS) if number <= largest)
    if place_of == 0:
        return f"0{space}"
    return f"between {_BINS[place_of - 1] + 1}{space} and {_BINS[place_of]}{space}"
