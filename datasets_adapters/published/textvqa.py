"""TextVQA 0.5.1 (Singh et al., 2019): questions about text in photographs of Open Images, ten answers each.

    TextVQA_0.5.1_train.json          {"data": [{"question_id": 0, "question": "what is the brand?",
                                        "image_id": "0054c91397f2fe05", "answers": ["nous les gosses", ...]}]}
    train_images/0054c91397f2fe05.jpg (of train and val) and test_images/
    train_images/rotation.csv         ImageID,...,Rotation (degrees; Open Images' own list)

Source:
    https://textvqa.org/dataset; big_vision datasets/textvqa/textvqa.py (0127fb6: files, and turning images upright).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_csv, read_json_list
from datasets_adapters.published.question_rows import read_question
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard, SubmissionFormat
from finetune.types import ImageFile, ImagePixels, Sample

# Validation images lie among those of training.
_FOLDERS = {"train": "train_images", "val": "train_images", "test": "test_images"}
_ROTATIONS = {
    "train_images": "https://storage.googleapis.com/openimages/2018_04/train/train-images-boxable-with-rotation.csv",
    "test_images": "https://storage.googleapis.com/openimages/2018_04/test/test-images-with-rotation.csv",
}
_QUARTER = 90
_WHOLE_DEGREES = re.compile(r"(-?\d{1,4})(?:\.0*)?")
# As data.max_pixels is by default, which a source does not see.
_MAX_PIXELS = 50_000_000


@dataclass(frozen=True, kw_only=True)
class TextVqa(PublishedDataset):
    """Questions and answers of TextVQA.

    Args:
        root: Folder with TextVQA_0.5.1_{train,val,test}.json and the folders train_images and test_images, from
            textvqa.org/dataset (CC BY 4.0; images CC BY 2.0), and with Open Images' lists of rotated images as
            train_images/rotation.csv and test_images/rotation.csv.
        turn_upright: Whether images that Open Images lists as rotated are turned back, as in the original. They are
            decoded when their row is read.
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="TextVQA 0.5.1",
        homepage="https://textvqa.org/dataset",
        licence="annotations CC BY 4.0, images CC BY 2.0",
        counts={"train": 34_602, "val": 5_000, "test": 5_734},
        counts_source="https://textvqa.org/dataset",
    )
    splits = _FOLDERS
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="question_id", answer_key="answer", server="https://eval.ai/web/challenges/challenge-page/874"
    )

    turn_upright: bool = True

    def _open_one(self, name: str) -> RowSource:
        root = self.folder
        path = self.annotations(f"TextVQA_0.5.1_{name}.json")
        rows = read_json_list(path, "data")
        folder = _FOLDERS[name]
        if self.turn_upright:
            turns = _quarter_turns(root / folder / "rotation.csv", {str(row.get("image_id")) for row in rows})
            rows = [row | {"quarter_turns": turns.get(str(row.get("image_id")), 0)} for row in rows]
        read = partial(self._read, folder=folder)
        return pack_rows(rows, read=read, file=path.name, unit="question", id_key="question_id")

    def _read(self, row: Row, place: RowPlace, *, folder: str) -> Sample:
        name = f"{folder}/{read_text(row.get('image_id'), 'image_id', place)}.jpg"
        image = self.image(name, "image_id", place)
        turns = row.get("quarter_turns", 0)
        return read_question(row, place, image=_turned(image, turns) if turns else image, id_key="question_id")


def _quarter_turns(path: Path, image_ids: set[str]) -> Mapping[str, int]:
    """Return how many quarters to the left each image that is not upright must be turned.

    Raises:
        ValueError: If the list is missing, or gives an angle between two quarters.
    """
    if not path.is_file():
        raise ValueError(
            f"dataset.root: there is no {path}: save {_ROTATIONS[path.parent.name]} there, or leave rotated images as "
            "they are: dataset.turn_upright=false"
        )
    rows = (row for row in read_csv(path, ("ImageID", "Rotation")) if row["ImageID"] in image_ids)
    return {row["ImageID"]: _quarters(row["Rotation"], row["ImageID"], path) for row in rows}


def _quarters(degrees: str, image_id: str, path: Path) -> int:
    """Return the quarters of an angle, 0 to 3; 0 where it is not known.

    Raises:
        ValueError: If it is no number, or between two quarters.
    """
    if degrees in ("", "nan"):
        return 0
    match = _WHOLE_DEGREES.fullmatch(degrees)
    if match is None or int(match[1]) % _QUARTER:
        raise ValueError(f"{path}: {image_id} is rotated by {degrees} degrees, which is no multiple of {_QUARTER}")
    return int(match[1]) // _QUARTER % 4


def _turned(image: ImageFile, turns: int) -> ImagePixels:
    from finetune.data.images import decode_image

    pixels = decode_image(image, max_pixels=_MAX_PIXELS, background=255).pixels
    return ImagePixels(name=image.name, pixels=np.ascontiguousarray(np.rot90(pixels, turns)))
