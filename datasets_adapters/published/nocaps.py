"""nocaps (Agrawal et al., 2019): photographs of objects that COCO's captions never name, ten captions each.

    nocaps_val_4500_captions.json   {"images": [{"id": 0, "file_name": "0013ea2087020901.jpg", "domain": "in-domain"}],
                                     "annotations": [{"image_id": 0, "id": 0, "caption": "…"}]}
    nocaps_test_image_info.json     {"images": […]}: the captions are hidden
    validation/0013ea2087020901.jpg, test/…

Source:
    https://nocaps.org/download; big_vision datasets/nocaps/nocaps.py (0127fb6). That images carry `domain`, and that
    the server takes COCO's form of results, is as users of the files read and write them.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder, find_file
from datasets_adapters.published.files import find_annotations, read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, read_text, read_texts
from finetune.types import DataCard, ImageFile, Sample, Source, SubmissionFormat

# Each split's file, and its folder of images as Open Images calls it.
_SPLITS = {
    "val": ("nocaps_val_4500_captions.json", "validation"),
    "test": ("nocaps_test_image_info.json", "test"),
}
_HIDDEN = ("test",)


@dataclass(frozen=True, kw_only=True)
class NoCaps:
    """Captions to evaluate on, never to train on; scores can be told apart by in-domain, near-domain and out-domain.

    Args:
        root: Folder with nocaps_val_4500_captions.json and nocaps_test_image_info.json, both from nocaps.org/download,
            and the folders validation and test of Open Images V4's images (captions CC BY 2.0; images CC BY 2.0).
        train_split, eval_split: Of val and test, or slices of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="nocaps",
        homepage="https://nocaps.org/download",
        licence="CC BY 2.0",
        counts={"val": 4_500, "test": 10_600},
        counts_source="https://nocaps.org/download",
    )
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="image_id", answer_key="caption", server="https://eval.ai/web/challenges/challenge-page/355"
    )

    root: str
    train_split: str = "val"
    eval_split: str = "val"

    def open(self, split: str) -> Source:
        """Open a split or a slice.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        file, folder = _SPLITS[name]
        path = find_annotations(root, file, self.card)
        captions: dict[object, list[object]] = defaultdict(list)
        if name not in _HIDDEN:
            for row in read_json_list(path, "annotations"):
                captions[row.get("image_id")].append(row.get("caption"))
        rows = [
            {
                "id": row.get("id"),
                "image": f"{folder}/{row.get('file_name')}",
                "domain": row.get("domain"),
                "captions": None if name in _HIDDEN else captions[row.get("id")],
            }
            for row in read_json_list(path, "images")
        ]
        return pack_rows(rows, read=self._read, file=path.name, unit="image", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        captions, domain = row["captions"], row["domain"]
        if captions == []:
            place.refuse("annotations", "missing-annotation", "holds no caption of this image: is it the whole file?")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=row["image"], path=find_file(Path(self.root), row["image"], "file_name", place)),),
            captions=() if captions is None else read_texts(captions, "captions", place),
            category=None if domain is None else read_text(domain, "domain", place),
            public_id=row["id"],
        )
