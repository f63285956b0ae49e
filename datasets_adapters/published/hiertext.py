"""HierText (Long et al., 2022): every word of photographs with much text.

    gt/train.jsonl   one object, despite its name: {"annotations": [{"image_id": "006bd3eaf0b1", "image_width": 1600,
                     "image_height": 1200, "paragraphs": [{"lines": [{"words": [{"vertices": [[x, y], ...],
                     "text": "OUT", "legible": true}]}]}]}]}
    train/006bd3eaf0b1.jpg

Source:
    google-research-datasets/hiertext, README.md.
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.objects import are_objects
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.words import read_word
from datasets_adapters.rows import RowPlace, quote, read_number, read_size
from finetune.published import DataCard
from finetune.types import Instance, Sample


@dataclass(frozen=True, kw_only=True)
class HierText(PublishedDataset):
    """Words of HierText, each with the box around its polygon.

    Args:
        root: Folder with gt/train.jsonl and gt/validation.jsonl, from github.com/google-research-datasets/hiertext,
            unpacked, and the folders train and validation of images, which its README says how to download
            (CC BY-SA 4.0).
        train_split, eval_split: Of train and validation, or slices and sums of them.
    """

    card = DataCard(
        title="HierText",
        homepage="https://github.com/google-research-datasets/hiertext",
        licence="CC BY-SA 4.0",
        counts={"train": 8_281, "validation": 1_724},
        counts_source="https://github.com/google-research-datasets/hiertext, README.md",
    )
    splits = ("train", "validation")

    eval_split: str = "validation"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"gt/{name}.jsonl")
        rows = (
            {
                "image_id": row.get("image_id"),
                "image": f"{name}/{row.get('image_id')}.jpg",
                "width": row.get("image_width"),
                "height": row.get("image_height"),
                "words": _words_of(row),
            }
            for row in read_json_list(path, "annotations")
        )
        return pack_rows(rows, read=self._read, file=path.name, unit="image", id_key="image_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        size = read_size(row, place)
        if size is None:
            place.refuse("image_width", "missing-field", "is missing, and so is image_height")
        if row["words"] is None:
            place.refuse("paragraphs", "wrong-type", "must be a list of objects, and so must their lines and words")
        found = [_word(word, size, f"words[{index}]", place) for index, word in enumerate(row["words"])]
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(row["image"], "image_id", place),),
            image_size=size,
            instances=tuple(word for word in found if word is not None),
            notes=place.notes,
        )


def _words_of(row: Row) -> list[Row] | None:
    """Return the words of an image, line by line; None where something on the way to them is no list of objects."""
    found = [row]
    for key in ("paragraphs", "lines", "words"):
        parts = [one.get(key) or [] for one in found]
        if not all(map(are_objects, parts)):
            return None
        found = [one for part in parts for one in part]
    return found


def _word(word: Row, image_size: tuple[int, int], field_name: str, place: RowPlace) -> Instance | None:
    points = word.get("vertices")
    if not isinstance(points, list) or not points or not all(isinstance(p, list) and len(p) == 2 for p in points):
        place.refuse(field_name, "wrong-type", f"must have vertices, a list of x and y, got {quote(points)}")
    text = word.get("text") or "" if word.get("legible") else None
    corners = [(read_number(x, field_name, place), read_number(y, field_name, place)) for x, y in points]
    return read_word(text, corners, image_size, field_name, place)
