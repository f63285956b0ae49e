"""ST-VQA, task 3 (Biten et al., 2019): questions about text in photographs of seven other data sets.

    train_task_3.json   {"data": [{"question_id": 12, "question": "what is the brand?", "answers": ["Pepsi", "pepsi"],
                          "file_path": "coco-text/COCO_train2014_000000262148.jpg", "dataset": "coco-text"}]}
    train_images/coco-text/COCO_train2014_000000262148.jpg

The authors publish no validation split. The original set apart the 2628 questions of some images of the training split,
whose list (datasets/stvqa/val_ids.py) is not public; it may well be M4C's, of 1893 images (imdb_subval.npy). Neither is
shipped here: `val_list` takes one.

Source:
    https://rrc.cvc.uab.es/?ch=11&com=tasks; big_vision datasets/stvqa/stvqa.py (0127fb6: files, COCO's own images).
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_file
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list, read_plain_text
from datasets_adapters.published.question_rows import first_folder, read_question
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

_FILES = {"train": "train", "val": "train", "test": "test"}
_FOLDERS: Mapping[str, tuple[str, ...]] = {
    "train": ("train_images", "train_imgs", "train"),
    "test": ("test_task3_images", "test_images", "test"),
}
_COCO = "coco-text/"
_ONE_IN = 10


@dataclass(frozen=True, kw_only=True)
class StVqa(PublishedDataset):
    """Questions and answers of ST-VQA's third task.

    Args:
        root: Folder with train_task_3.json, test_task_3.json and the folders train_images and test_task3_images, from
            rrc.cvc.uab.es/?ch=11&com=downloads (with an account; images under their own data sets' terms).
        val_list: File under root with the file_path of each image that is for val, one a line; null: one image in ten,
            by the checksum of its file_path.
        coco_folder: Folder under root with COCO's train2014, whose images are larger than ST-VQA's copies of them and
            stand for them, as in the original; null: those copies.
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="ST-VQA",
        homepage="https://rrc.cvc.uab.es/?ch=11&com=downloads",
        licence="see the download page; images under the terms of the seven data sets that they are of",
        counts={"train+val": 26_074, "test": 4_070},
        counts_source="big_vision datasets/stvqa (0127fb6)",
    )
    splits = _FILES
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="question_id", answer_key="answer", server="https://rrc.cvc.uab.es/?ch=11&com=mymethods&task=3"
    )

    val_list: str | None = None
    coco_folder: str | None = "train2014"

    def _open_one(self, name: str) -> RowSource:
        root = self.folder
        if self.coco_folder is not None and not (root / self.coco_folder).is_dir():
            raise ValueError(
                f"dataset.coco_folder: there is no folder {root / self.coco_folder}; COCO's train2014 is to be had "
                "from https://cocodataset.org, or take ST-VQA's smaller copies: dataset.coco_folder=null"
            )
        file_part = _FILES[name]
        path = self.annotations(f"{file_part}_task_3.json")
        rows = read_json_list(path, "data")
        if file_part == "train":
            for_val = self._listed(root)
            rows = [row for row in rows if _is_for_val(row.get("file_path"), for_val) == (name == "val")]
        read = partial(self._read, folder=first_folder(root, _FOLDERS[file_part]))
        return pack_rows(rows, read=read, file=path.name, unit="question", id_key="question_id")

    def _listed(self, root: Path) -> frozenset[str] | None:
        if self.val_list is None:
            return None
        path = existing_file("dataset.val_list", root / self.val_list)
        return frozenset(read_plain_text(path).split("\n")) - {""}

    def _read(self, row: Row, place: RowPlace, *, folder: str) -> Sample:
        name = f"{folder}/{read_text(row.get('file_path'), 'file_path', place)}"
        if self.coco_folder is not None:
            name = name.replace(f"{folder}/{_COCO}", f"{self.coco_folder}/", 1)
        image = self.image(name, "file_path", place)
        return read_question(row, place, image=image, id_key="question_id")


def _is_for_val(file_path: object, listed: frozenset[str] | None) -> bool:
    """Whether an image is for val. A row without one is for train, where it is refused when it is drawn."""
    if not isinstance(file_path, str):
        return False
    if listed is not None:
        return file_path in listed
    return zlib.crc32(file_path.encode("utf-8", "surrogatepass")) % _ONE_IN == 0
