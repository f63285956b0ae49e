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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets_adapters.paths import existing_file, existing_folder, find_file
from datasets_adapters.published.diagram_letters import letters_of, painted
from datasets_adapters.published.files import find_annotations, read_json_object
from datasets_adapters.published.rows import Row, RowSource, image_at, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, quote, read_flag, read_text, read_texts
from finetune.types import DataCard, ImageReference, Sample, Source

_SPLITS = ("train", "test")
_FOLDER = "ai2d"


@dataclass(frozen=True, kw_only=True)
class Ai2d:
    """Questions of AI2D with their choices.

    Args:
        root: Folder with ai2d (questions, annotations and images, unpacked from ai2d-all.zip) and ai2d_test_ids.csv,
            from ai2-public-datasets.s3.amazonaws.com/diagrams/ai2d-all.zip and
            s3-us-east-2.amazonaws.com/prior-datasets/ai2d_test_ids.csv (for research; images are of their publishers).
        font: TrueType file under root that letters are painted in; the original took DMSans-Regular.ttf of
            github.com/googlefonts/dm-fonts. null: the one that comes with Pillow.
        train_split, eval_split: Of train and test, or slices and sums of them, such as train[:-1024].
    """

    card: ClassVar[DataCard] = DataCard(
        title="AI2D",
        homepage="https://prior.allenai.org/projects/diagram-understanding",
        licence="see the download page; images are of their publishers",
        counts={"test": 3_088},
        counts_source="https://huggingface.co/datasets/lmms-lab/ai2d",
    )

    root: str
    font: str | None = None
    train_split: str = "train"
    eval_split: str = "test"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        if self.font is not None:
            existing_file("dataset.font", root / self.font)
        ids = find_annotations(root, "ai2d_test_ids.csv", self.card).read_text(encoding="utf-8").split()
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
        choices = read_texts(row.get("answerTexts"), "answerTexts", place)
        right = row.get("correctAnswer")
        if not isinstance(right, int) or not 0 <= right < len(choices):
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
        root, name = Path(self.root), read_text(row.get("imageName"), "imageName", place)
        image = image_at(self.root, f"{_FOLDER}/images/{name}", "imageName", place)
        if not read_flag(row.get("abcLabel"), "abcLabel", place):
            return image
        path = find_file(root, f"{_FOLDER}/annotations/{name}.json", "abcLabel", place)
        try:
            annotations = read_json_object(path)
        except ValueError as error:
            place.refuse("abcLabel", "unreadable-annotations", str(error))
        return painted(image, letters_of(annotations, place), None if self.font is None else root / self.font)


def _questions(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each question of a diagram as a row.

    Raises:
        ValueError: If the file is another one.
    """
    diagram = read_json_object(path)
    questions = diagram.get("questions")
    if not isinstance(questions, dict) or not all(isinstance(one, dict) for one in questions.values()):
        raise ValueError(f"{path}: questions must be an object of objects; is it another file?")
    for text, question in questions.items():
        yield question | {"question": text, "imageName": diagram.get("imageName")}


def _image_id(path: Path) -> str:
    return path.name.split(".")[0]


def _number_first(path: Path) -> tuple[int, str]:
    """Sort by the diagrams' numbers, for an order that no file system changes."""
    identifier = _image_id(path)
    return int(identifier) if identifier.isdecimal() else 0, path.name
