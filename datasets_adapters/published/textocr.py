"""TextOCR (Singh et al., 2021): every word of the photographs of TextVQA.

    TextOCR_0.1_train.json   {"imgs": {"0a1b": {"width": 681, "height": 1024, "file_name": "train/0a1b.jpg"}},
                              "anns": {"0a1b_1": {"points": [x, y, x, y, ...], "utf8_string": "Performance"}},
                              "imgToAnns": {"0a1b": ["0a1b_1"]}}
    train_images/0a1b.jpg    of both splits

A word that nobody could read is written as a full stop.

Source:
    https://textvqa.org/textocr/dataset; mindspore-lab/mindocr's and MMOCR's loaders of the files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_object
from datasets_adapters.published.objects import is_object_of_objects
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.words import read_word
from datasets_adapters.rows import RowPlace, quote, read_number, read_size
from finetune.published import DataCard
from finetune.types import Instance, Sample

_UNREADABLE = "."


@dataclass(frozen=True, kw_only=True)
class TextOcr(PublishedDataset):
    """Words of TextOCR, each with the box around its polygon.

    Args:
        root: Folder with TextOCR_0.1_train.json, TextOCR_0.1_val.json and the folder train_images of
            train_val_images.zip, all from textvqa.org/textocr/dataset (CC BY 4.0; images under Flickr's terms).
        train_split, eval_split: Of train and val, or slices and sums of them.
    """

    card = DataCard(
        title="TextOCR",
        homepage="https://textvqa.org/textocr/dataset",
        licence="annotations CC BY 4.0, images under Flickr's terms",
        counts={"train": 21_778, "val": 3_124},
        counts_source="Singh et al., TextOCR, 2021",
    )
    splits = ("train", "val")

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"TextOCR_0.1_{name}.json")
        content = read_json_object(path)
        images, words, words_of = (content.get(part) for part in ("imgs", "anns", "imgToAnns"))
        if not (is_object_of_objects(images) and isinstance(words, dict) and isinstance(words_of, dict)):
            raise ValueError(f"{path} must have imgs (of objects), anns and imgToAnns; is it another file?")
        rows = (
            {
                "id": image_id,
                "width": image.get("width"),
                "height": image.get("height"),
                "words": _named(words_of.get(image_id, []), words),
            }
            for image_id, image in images.items()
        )
        return pack_rows(rows, read=self._read, file=path.name, unit="image", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        size, name = read_size(row, place), f"train_images/{place.sample_id}.jpg"
        if size is None:
            place.refuse("width", "missing-field", "is missing, and so is height")
        if row["words"] is None:
            place.refuse("imgToAnns", "wrong-type", "must be a list of what anns calls the words of the image")
        found = [_word(word, size, f"words[{index}]", place) for index, word in enumerate(row["words"])]
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "imgs", place),),
            image_size=size,
            instances=tuple(word for word in found if word is not None),
            notes=place.notes,
        )


def _named(names: object, words: Mapping[str, Any]) -> list[Any] | None:
    """Return the words of these names, with None for one that is not there; None where it is no list of names."""
    if not isinstance(names, list):
        return None
    return [words.get(name) if isinstance(name, str) else None for name in names]


def _word(word: Any, image_size: tuple[int, int], field_name: str, place: RowPlace) -> Instance | None:
    points = word.get("points") if isinstance(word, dict) else None
    if not isinstance(points, list) or not points or len(points) % 2:
        place.refuse(field_name, "wrong-type", f"must have points, x and y in turns, got {quote(word)}")
    numbers = [read_number(number, field_name, place) for number in points]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    text = word.get("utf8_string")
    return read_word(None if text == _UNREADABLE else text or "", corners, image_size, field_name, place)
