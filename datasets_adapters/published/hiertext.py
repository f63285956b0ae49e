"""HierText (Long et al., 2022): every word of photographs with much text.

    gt/train.jsonl   one object, despite its name: {"annotations": [{"image_id": "006bd3eaf0b1", "image_width": 1600,
                     "image_height": 1200, "paragraphs": [{"lines": [{"words": [{"vertices": [[x, y], ...],
                     "text": "OUT", "legible": true}]}]}]}]}
    train/006bd3eaf0b1.jpg

Source:
    google-research-datasets/hiertext, README.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets_adapters.paths import existing_folder, find_file
from datasets_adapters.published.files import find_annotations, read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.published.words import read_word
from datasets_adapters.rows import RowPlace, quote, read_number, read_size
from finetune.types import DataCard, ImageFile, Instance, Sample, Source

_SPLITS = ("train", "validation")


@dataclass(frozen=True, kw_only=True)
class HierText:
    """Words of HierText, each with the box around its polygon.

    Args:
        root: Folder with gt/train.jsonl and gt/validation.jsonl, from github.com/google-research-datasets/hiertext,
            unpacked, and the folders train and validation of images, which its README says how to download
            (CC BY-SA 4.0).
        train_split, eval_split: Of train and validation, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="HierText",
        homepage="https://github.com/google-research-datasets/hiertext",
        licence="CC BY-SA 4.0",
        counts={"train": 8_281, "validation": 1_724},
        counts_source="https://github.com/google-research-datasets/hiertext, README.md",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "validation"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, f"gt/{name}.jsonl", self.card)
        rows = (
            {
                "image_id": row.get("image_id"),
                "image": f"{name}/{row.get('image_id')}.jpg",
                "width": row.get("image_width"),
                "height": row.get("image_height"),
                "words": list(_words_of(row)),
            }
            for row in read_json_list(path, "annotations")
        )
        return pack_rows(rows, read=self._read, file=path.name, unit="image", id_key="image_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        size = read_size(row, place)
        if size is None:
            place.refuse("image_width", "missing-field", "is missing, and so is image_height")
        found = [_word(word, size, f"words[{index}]", place) for index, word in enumerate(row["words"])]
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=row["image"], path=find_file(Path(self.root), row["image"], "image_id", place)),),
            image_size=size,
            instances=tuple(word for word in found if word is not None),
            notes=place.notes,
        )


def _words_of(row: Row) -> Iterator[Any]:
    """Yield the words of an image, line by line."""
    for paragraph in row.get("paragraphs") or ():
        for line in paragraph.get("lines") or ():
            yield from line.get("words") or ()


def _word(word: Any, image_size: tuple[int, int], field_name: str, place: RowPlace) -> Instance | None:
    points = word.get("vertices")
    if not isinstance(points, list) or not points or not all(isinstance(p, list) and len(p) == 2 for p in points):
        place.refuse(field_name, "wrong-type", f"must have vertices, a list of x and y, got {quote(points)}")
    text = word.get("text") if word.get("legible") else None
    corners = [(read_number(x, field_name, place), read_number(y, field_name, place)) for x, y in points]
    return read_word(text, corners, image_size, field_name, place)
