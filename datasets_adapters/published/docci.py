"""DOCCI (Onoe et al., 2024): photographs with descriptions of some 136 words.

    docci_descriptions.jsonlines   {"example_id": "train_00000", "split": "train", "image_file": "train_00000.jpg",
                                    "description": "An indoor angled down medium close-up front view of …"}
    images/train_00000.jpg

Source:
    https://google.github.io/docci: fields and licence. The splits' sizes as readers of the file count them.
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_lines
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample

_FILE = "docci_descriptions.jsonlines"


@dataclass(frozen=True, kw_only=True)
class Docci(PublishedDataset):
    """Long, fine-grained descriptions, one for each photograph.

    Args:
        root: Folder with docci_descriptions.jsonlines and the folder images of docci_images.tar.gz, both from
            google.github.io/docci/#downloads (CC BY 4.0).
        train_split, eval_split: Of train, test, qual_dev and qual_test, or slices and sums of them.
    """

    card = DataCard(
        title="DOCCI",
        homepage="https://google.github.io/docci/#downloads",
        licence="CC BY 4.0",
        counts={"train": 9_647, "test": 5_000, "qual_dev": 100, "qual_test": 100},
        counts_source="https://huggingface.co/datasets/google/docci",
    )
    splits = ("train", "test", "qual_dev", "qual_test")

    eval_split: str = "test"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(_FILE)
        rows = [row for row in read_json_lines(path) if row.get("split") == name]
        return pack_rows(rows, read=self._read, file=_FILE, unit="example", id_key="example_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = f"images/{read_text(row.get('image_file'), 'image_file', place)}"
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "image_file", place),),
            captions=(read_text(row.get("description"), "description", place),),
        )
