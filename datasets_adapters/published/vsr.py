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

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_lines
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_flag, read_text
from finetune.published import DataCard
from finetune.types import Sample

_COUNTS = {
    "zeroshot/train": 3_489,
    "zeroshot/dev": 340,
    "zeroshot/test": 1_222,
    "random/train": 7_680,
    "random/dev": 1_097,
    "random/test": 2_195,
}


@dataclass(frozen=True, kw_only=True)
class Vsr(PublishedDataset):
    """Sentences of VSR, in its two ways of dividing them.

    Args:
        root: The folder data of github.com/cambridgeltl/visual-spatial-reasoning (Apache 2.0), with the folder images
            that its README tells how to fill from COCO 2017 (Flickr's terms).
        train_split, eval_split: Of zeroshot/train, zeroshot/dev, zeroshot/test and the same with random/, or slices and
            sums of them.
    """

    card = DataCard(
        title="VSR",
        homepage="https://github.com/cambridgeltl/visual-spatial-reasoning",
        licence="sentences Apache 2.0, images under Flickr's terms",
        counts=_COUNTS,
        counts_source="https://github.com/cambridgeltl/visual-spatial-reasoning, data/splits",
    )
    splits = _COUNTS

    train_split: str = "zeroshot/train"
    eval_split: str = "zeroshot/dev"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"splits/{name}.jsonl")
        rows = (row | {"id": f"{name}-{number}"} for number, row in enumerate(read_json_lines(path), start=1))
        return pack_rows(rows, read=self._read, file=path.name, unit="row", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = read_text(row.get("image"), "image", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(f"images/{name}", "image", place),),
            question=read_text(row.get("caption"), "caption", place),
            answers=("True" if read_flag(row.get("label"), "label", place) else "False",),
        )
