"""AI2D (Kembhavi et al., 2016): multiple-choice questions about diagrams of school books.

    ai2d/questions/0.png.json     {"imageName": "0.png", "questions": {"What is A?": {"questionId": "0.png-0",
                                   "answerTexts": ["face", "nose"], "correctAnswer": 0, "abcLabel": true}}}
    ai2d/annotations/0.png.json   {"text": {"T0": {"rectangle": [[9, 4], [40, 16]], "replacementText": "A", ...}}, ...}
    ai2d/images/0.png
    ai2d_test_ids.csv             a number of an image a line, without a header

Where `abcLabel` is true, the question speaks of letters that stand for the diagram's own labels: they are painted over
these labels when the row is read.

Source:
    https://prior.allenai.org/projects/diagram-understanding; big_vision datasets/ai2d/ai2d.py (0127fb6: files, splits).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets_adapters.paths import existing_file
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.diagram_letters import letters_of, painted
from datasets_adapters.published.files import read_json_object, read_plain_text
from datasets_adapters.published.objects import is_object_of_objects
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, quote, read_flag, read_text, read_texts
from finetune.published import DataCard
from finetune.types import ImageReference, Sample

_FOLDER = "ai2d"


@dataclass(frozen=True, kw_only=True)
class Ai2d(PublishedDataset):
    """Questions of AI2D with their choices.

    Args:
        root: Folder with ai2d (questions, annotations and images, unpacked from ai2d-all.zip) and ai2d_test_ids.csv,
            from ai2-public-datasets.s3.amazonaws.com/diagrams/ai2d-all.zip and
            s3-us-east-2.amazonaws.com/prior-datasets/ai2d_test_ids.csv (for research; images are of their publishers).
        font: TrueType file under root that letters are painted in; the original took DMSans-Regular.ttf of
            github.com/googlefonts/dm-fonts. null: the one that comes with Pillow.
        train_split, eval_split: Of train and test, or slices and sums of them, such as train[:-1024].
    """

    card = DataCard(
        title="AI2D",
        homepage="https://prior.allenai.org/projects/diagram-understanding",
        licence="see the download page; images are of their publishers",
        counts={"test": 3_088},
        counts_source="https://huggingface.co/datasets/lmms-lab/ai2d",
    )
    splits = ("train", "test")

    font: str | None = None
    eval_split: str = "test"

    def _open_one(self, name: str) -> RowSource:
        root = self.folder
        if self.font is not None:
            existing_file("dataset.font", root / self.font)
        ids = read_plain_text(self.annotations("ai2d_test_ids.csv")).split()
        files = sorted((root / _FOLDER / "questions").glob("*.json"), key=_number_first)
        if not files:
            raise ValueError(
                f"dataset.root: {root} has no {_FOLDER}/questions/*.json (seen from {Path.cwd()}); unpack ai2d-all.zip "
                f"there, from {self.card.homepage}"
            )
        chosen = [path for path in files if (_image_id(path) in set(ids)) == (name == "test")]
        rows = (row for path in chosen for row in _questions(path))
        return pack_rows(rows, read=self._read, file=f"{_FOLDER}/questions", unit="question", id_key="questionId")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        place = replace(place, origin=f"{_FOLDER}/questions/{row['file']}: question {place.sample_id}")
        choices = read_texts(row.get("answerTexts"), "answerTexts", place)
        right = row.get("correctAnswer")
        if isinstance(right, bool) or not isinstance(right, int) or not 0 <= right < len(choices):
            message = f"must be a whole number from 0 to {len(choices) - 1}, got {quote(right)}"
            place.refuse("correctAnswer", "no-such-choice", message)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self._image(row, place),),
            question=read_text(row["question"], "question", place),
            choices=choices,
            answers=(choices[right],),
        )

    def _image(self, row: Row, place: RowPlace) -> ImageReference:
        name = read_text(row.get("imageName"), "imageName", place)
        image = self.image(f"{_FOLDER}/images/{name}", "imageName", place)
        if not read_flag(row.get("abcLabel"), "abcLabel", place):
            return image
        path = self.file(f"{_FOLDER}/annotations/{name}.json", "abcLabel", place)
        try:
            annotations = read_json_object(path)
        except ValueError as error:
            place.refuse("abcLabel", "unreadable-annotations", str(error))
        return painted(
            image, letters_of(annotations, place), None if self.font is None else Path(self.root) / self.font
        )


def _questions(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each question of a diagram as a row.

    Raises:
        ValueError: If the file is another one.
    """
    diagram = read_json_object(path)
    questions = diagram.get("questions")
    if not is_object_of_objects(questions):
        raise ValueError(f"{path}: questions must be an object of objects; is it another file?")
    for text, question in questions.items():
        yield question | {"file": path.name, "question": text, "imageName": diagram.get("imageName")}


def _image_id(path: Path) -> str:
    return path.name.split(".")[0]


def _number_first(path: Path) -> tuple[int, str]:
    """Sort by the diagrams' numbers, for an order that no file system changes."""
    identifier = _image_id(path)
    return int(identifier) if identifier.isdecimal() else 0, path.name
