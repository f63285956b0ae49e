"""Visual Spatial Reasoning (Liu et al., 2023): is a sentence about where two things are true of a photograph?

    splits/zeroshot/train.jsonl   {"image": "000000558388.jpg", "caption", "label": 1, "relation": "next to", ...}
    splits/random/train.jsonl     the same, things shared between the splits
    images/000000558388.jpg

How PaliGemma 2 words question and answer is not public; True and False, as the data set's own texts say, are assumed.

Source:
    cambridgeltl/visual-spatial-reasoning (b27a0af), README, data/README.md and data/splits, whose lines were counted
    (the README's figures for zeroshot are those of an earlier version).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import find_annotations, read_json_lines
from datasets_adapters.published.rows import Row, RowSource, image_at, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, read_flag, read_text
from finetune.types import DataCard, Sample, Source

_COUNTS = {
    "zeroshot/train": 3_489,
    "zeroshot/dev": 340,
    "zeroshot/test": 1_222,
    "random/train": 7_680,
    "random/dev": 1_097,
    "random/test": 2_195,
}


@dataclass(frozen=True, kw_only=True)
class Vsr:
    """Sentences of VSR, in its two ways of dividing them.

    Args:
        root: The folder data of github.com/cambridgeltl/visual-spatial-reasoning (Apache 2.0), with the folder images
            that its README tells how to fill from COCO 2017 (Flickr's terms).
        train_split, eval_split: Of zeroshot/train, zeroshot/dev, zeroshot/test and the same with random/, or slices and
            sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="VSR",
        homepage="https://github.com/cambridgeltl/visual-spatial-reasoning",
        licence="sentences Apache 2.0, images under Flickr's terms",
        counts=_COUNTS,
        counts_source="https://github.com/cambridgeltl/visual-spatial-reasoning, data/splits",
    )

    root: str
    train_split: str = "zeroshot/train"
    eval_split: str = "zeroshot/dev"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _COUNTS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, f"splits/{name}.jsonl", self.card)
        rows = (row | {"id": f"{name}-{number}"} for number, row in enumerate(read_json_lines(path), start=1))
        return pack_rows(rows, read=self._read, file=path.name, unit="row", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = read_text(row.get("image"), "image", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(image_at(self.root, f"images/{name}", "image", place),),
            question=read_text(row.get("caption"), "caption", place),
            answers=("True" if read_flag(row.get("label"), "label", place) else "False",),
        )
