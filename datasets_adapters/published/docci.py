"""DOCCI (Onoe et al., 2024): photographs with descriptions of some 136 words.

    docci_descriptions.jsonlines   {"example_id": "train_00000", "split": "train", "image_file": "train_00000.jpg",
                                    "description": "An indoor angled down medium close-up front view of …"}
    images/train_00000.jpg

Source:
    https://google.github.io/docci: fields and licence. The splits' sizes as readers of the file count them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder, find_file
from datasets_adapters.published.files import find_annotations, read_json_lines
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, read_text
from finetune.types import DataCard, ImageFile, Sample, Source

_FILE = "docci_descriptions.jsonlines"
_SPLITS = ("train", "test", "qual_dev", "qual_test")


@dataclass(frozen=True, kw_only=True)
class Docci:
    """Long, fine-grained descriptions, one for each photograph.

    Args:
        root: Folder with docci_descriptions.jsonlines and the folder images of docci_images.tar.gz, both from
            google.github.io/docci/#downloads (CC BY 4.0).
        train_split, eval_split: Of train, test, qual_dev and qual_test, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="DOCCI",
        homepage="https://google.github.io/docci/#downloads",
        licence="CC BY 4.0",
        counts={"train": 9_647, "test": 5_000, "qual_dev": 100, "qual_test": 100},
        counts_source="https://huggingface.co/datasets/google/docci",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "test"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If the file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, _FILE, self.card)
        rows = [row for row in read_json_lines(path) if row.get("split") == name]
        return pack_rows(rows, read=self._read, file=_FILE, unit="example", id_key="example_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = f"images/{read_text(row.get('image_file'), 'image_file', place)}"
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=name, path=find_file(Path(self.root), name, "image_file", place)),),
            captions=(read_text(row.get("description"), "description", place),),
        )
