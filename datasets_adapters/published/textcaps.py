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
from functools import partial
from typing import ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.ids import grouped_by_id
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_texts
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

# Each split's folder of images.
_SPLITS = {"train": "train_images", "val": "train_images", "test": "test_images"}
_HIDDEN = ("test",)


@dataclass(frozen=True, kw_only=True)
class TextCaps(PublishedDataset):
    """Captions that read the text in the picture.

    Args:
        root: Folder with TextCaps_0.1_{train,val,test}.json and the folders train_images and test_images, all from
            textvqa.org/textcaps/dataset (captions CC BY 4.0; images of Open Images, CC BY 2.0).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="TextCaps",
        homepage="https://textvqa.org/textcaps/dataset",
        licence="captions CC BY 4.0, images CC BY 2.0",
        counts={"train": 21_953, "val": 3_166, "test": 3_289},
        counts_source="https://textvqa.org/textcaps/dataset",
    )
    splits = _SPLITS
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="image_id", answer_key="caption", server="https://textvqa.org/textcaps/challenge"
    )

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"TextCaps_0.1_{name}.json")
        images = grouped_by_id(read_json_list(path, "data"), "image_id", path)
        rows = (
            {
                "image_id": image_id,
                "image": f"{_SPLITS[name]}/{captioned[0].get('image_name')}.jpg",
                # Some rows of the file hold no caption; the original passes over them as well.
                "captions": [row["caption_str"] for row in captioned if row.get("caption_str")],
            }
            for image_id, captioned in images.items()
        )
        read = partial(self._read, is_hidden=name in _HIDDEN)
        return pack_rows(rows, read=read, file=path.name, unit="image", id_key="image_id")

    def _read(self, row: Row, place: RowPlace, *, is_hidden: bool) -> Sample:
        captions = [] if is_hidden else row["captions"]
        if not captions and not is_hidden:
            place.refuse("caption_str", "missing-annotation", "is empty in every row of this image: leave them out")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(row["image"], "image_name", place),),
            captions=read_texts(captions, "caption_str", place),
            public_id=row["image_id"],
        )
