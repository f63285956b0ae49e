"""COCO captions in the split of Karpathy and Fei-Fei (2015): five or more captions a photograph.

    dataset_coco.json   {"images": [{"filepath": "val2014", "filename": "COCO_val2014_000000391895.jpg",
                         "cocoid": 391895, "split": "restval", "sentences": [{"raw": "A man rides …", "tokens": […]}]}]}
    train2014/COCO_train2014_000000000009.jpg, val2014/…

Source:
    https://cs.stanford.edu/people/karpathy/deepimagesent/; the fields as loaders of the file read them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows, public_id, texts_under
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample, Source

_FILE = "dataset_coco.json"
# The words of each caption, apart, would take up most of the room.
_KEPT = ("cocoid", "filepath", "filename", "sentences")


@dataclass(frozen=True, kw_only=True)
class CocoCaptions(PublishedDataset):
    """Captions of COCO's photographs of 2014, in Karpathy's split.

    Args:
        root: Folder with dataset_coco.json, from cs.stanford.edu/people/karpathy/deepimagesent/caption_datasets.zip,
            and the folders train2014 and val2014 of images, from cocodataset.org/#download (captions CC BY 4.0; images:
            Flickr's terms).
        train_split, eval_split: Of train, restval, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="COCO captions in Karpathy's split",
        homepage="https://cs.stanford.edu/people/karpathy/deepimagesent/ and https://cocodataset.org/#download",
        licence="captions CC BY 4.0, images under Flickr's terms",
        counts={"train": 82_783, "restval": 30_504, "val": 5_000, "test": 5_000},
        counts_source="https://www.tensorflow.org/datasets/catalog/coco_captions",
    )
    splits = ("train", "restval", "val", "test")

    def _opener(self) -> Callable[[str], Source]:
        images = cache(self._read_images)
        return lambda name: self._open_split(name, images())

    def _read_images(self) -> Sequence[Mapping[str, Any]]:
        return read_json_list(self.annotations(_FILE), "images")

    def _open_split(self, name: str, images: Sequence[Mapping[str, Any]]) -> RowSource:
        rows = [{key: row.get(key) for key in _KEPT} for row in images if row.get("split") == name]
        for row in rows:
            if isinstance(row["sentences"], list):
                row["sentences"] = [{"raw": one.get("raw")} for one in row["sentences"] if isinstance(one, dict)]
        return pack_rows(rows, read=self._read, file=_FILE, unit="image", id_key="cocoid")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        folder, file = (read_text(row[key], key, place) for key in ("filepath", "filename"))
        name = f"{folder}/{file}"
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "filename", place),),
            captions=texts_under(row["sentences"], "raw", "sentences", place),
            public_id=public_id(row, "cocoid", place),
        )
