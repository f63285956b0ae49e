"""nocaps (Agrawal et al., 2019): photographs of objects that COCO's captions never name, ten captions each.

    nocaps_val_4500_captions.json   {"images": [{"id": 0, "file_name": "0013ea2087020901.jpg", "domain": "in-domain"}],
                                     "annotations": [{"image_id": 0, "id": 0, "caption": "…"}]}
    nocaps_test_image_info.json     {"images": […]}: the captions are hidden
    validation/0013ea2087020901.jpg, test/…

Source:
    https://nocaps.org/download; big_vision datasets/nocaps/nocaps.py (0127fb6). That images carry `domain`, and that
    the server takes COCO's form of results, is as users of the files read and write them.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.ids import grouped_by_id, under_id
from datasets_adapters.published.rows import Row, RowSource, pack_rows, public_id
from datasets_adapters.rows import RowPlace, read_text, read_texts
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

# Each split's file, and its folder of images as Open Images calls it.
_SPLITS = {
    "val": ("nocaps_val_4500_captions.json", "validation"),
    "test": ("nocaps_test_image_info.json", "test"),
}
_HIDDEN = ("test",)


@dataclass(frozen=True, kw_only=True)
class NoCaps(PublishedDataset):
    """Captions to evaluate on, never to train on; scores can be told apart by in-domain, near-domain and out-domain.

    Args:
        root: Folder with nocaps_val_4500_captions.json and nocaps_test_image_info.json, both from nocaps.org/download,
            and the folders validation and test of Open Images V4's images (captions CC BY 2.0; images CC BY 2.0).
        train_split, eval_split: Of val and test, or slices of them.
    """

    card = DataCard(
        title="nocaps",
        homepage="https://nocaps.org/download",
        licence="CC BY 2.0",
        counts={"val": 4_500, "test": 10_600},
        counts_source="https://nocaps.org/download",
    )
    splits = _SPLITS
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="image_id", answer_key="caption", server="https://eval.ai/web/challenges/challenge-page/355"
    )

    train_split: str = "val"

    def _open_one(self, name: str) -> RowSource:
        file, folder = _SPLITS[name]
        path = self.annotations(file)
        annotations = [] if name in _HIDDEN else read_json_list(path, "annotations")
        described = grouped_by_id(annotations, "image_id", path)
        rows = [
            {
                "id": row.get("id"),
                "image": f"{folder}/{row.get('file_name')}",
                "domain": row.get("domain"),
                "captions": [one.get("caption") for one in under_id(row.get("id"), described, [])],
            }
            for row in read_json_list(path, "images")
        ]
        read = partial(self._read, is_hidden=name in _HIDDEN)
        return pack_rows(rows, read=read, file=path.name, unit="image", id_key="id")

    def _read(self, row: Row, place: RowPlace, *, is_hidden: bool) -> Sample:
        captions, domain = row["captions"], row["domain"]
        if not captions and not is_hidden:
            place.refuse("annotations", "missing-annotation", "holds no caption of this image: is it the whole file?")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(row["image"], "file_name", place),),
            captions=read_texts(captions, "captions", place),
            category=None if domain is None else read_text(domain, "domain", place),
            public_id=public_id(row, "id", place),
        )
