"""TextCaps (Sidorov et al., 2020): captions of photographs that say what is written in them, five each.

    TextCaps_0.1_train.json   {"data": [{"image_id": "c65dd3d8d7c25b54", "image_name": "c65dd3d8d7c25b54",
                               "caption_str": "the billboard displays …", "caption_id": 68725, "reference_strs": […]}]}
    train_images/c65dd3d8d7c25b54.jpg   also those of the validation split

A row is one caption; an image's rows are joined. The test file has one row an image, without captions.

Source:
    https://textvqa.org/textcaps/dataset; big_vision datasets/textcaps/textcaps.py (0127fb6). The server's format is
    COCO's, as lmms-eval writes it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from datasets_adapters.paths import existing_folder, find_file
from datasets_adapters.published.files import find_annotations, read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, read_texts
from finetune.types import DataCard, ImageFile, Sample, Source, SubmissionFormat

# Each split's folder of images.
_SPLITS = {"train": "train_images", "val": "train_images", "test": "test_images"}
_HIDDEN = ("test",)


@dataclass(frozen=True, kw_only=True)
class TextCaps:
    """Captions that read the text in the picture.

    Args:
        root: Folder with TextCaps_0.1_{train,val,test}.json and the folders train_images and test_images, all from
            textvqa.org/textcaps/dataset (captions CC BY 4.0; images of Open Images, CC BY 2.0).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="TextCaps",
        homepage="https://textvqa.org/textcaps/dataset",
        licence="captions CC BY 4.0, images CC BY 2.0",
        counts={"train": 21_953, "val": 3_166, "test": 3_289},
        counts_source="https://textvqa.org/textcaps/dataset",
    )
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="image_id", answer_key="caption", server="https://textvqa.org/textcaps/challenge"
    )

    root: str
    train_split: str = "train"
    eval_split: str = "val"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, f"TextCaps_0.1_{name}.json", self.card)
        images: dict[object, dict[str, Any]] = {}
        for row in read_json_list(path, "data"):
            image = f"{_SPLITS[name]}/{row.get('image_name')}.jpg"
            first: dict[str, Any] = {
                "image_id": row.get("image_id"),
                "image": image,
                "captions": None if name in _HIDDEN else [],
            }
            joined = images.setdefault(row.get("image_id"), first)
            # Some rows of the file hold no caption; the original passes over them as well.
            if joined["captions"] is not None and row.get("caption_str"):
                joined["captions"].append(row["caption_str"])
        return pack_rows(images.values(), read=self._read, file=path.name, unit="image", id_key="image_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        captions = row["captions"]
        if captions == []:
            place.refuse("caption_str", "missing-annotation", "is empty in every row of this image: leave them out")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=row["image"], path=find_file(Path(self.root), row["image"], "image_name", place)),),
            captions=() if captions is None else read_texts(captions, "caption_str", place),
            public_id=row["image_id"],
        )
