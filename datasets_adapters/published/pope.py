"""POPE (Li et al., 2023): is there such a thing in the image? Three sets, by how the absent things were chosen.

    coco_pope_random.json   {"question_id": 1, "image": "COCO_val2014_000000310196.jpg",
                             "text": "Is there a snowboard in the image?", "label": "yes"}, one object a line
    coco_pope_popular.json, coco_pope_adversarial.json
    val2014/COCO_val2014_000000310196.jpg

Source:
    AoiDragon/POPE, README and output/coco (08d957b), whose lines were counted; an earlier random set had 2,910.
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_lines
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample

_SETS = ("random", "popular", "adversarial")
_ALL = "+".join(_SETS)


@dataclass(frozen=True, kw_only=True)
class Pope(PublishedDataset):
    """Questions of POPE; scores can be told apart by the three sets.

    Args:
        root: Folder with coco_pope_*.json (github.com/AoiDragon/POPE, output/coco; MIT) and COCO's folder val2014
            (cocodataset.org; Flickr's terms).
        train_split, eval_split: Of random, popular and adversarial, or slices and sums of them. None is for training.
    """

    card = DataCard(
        title="POPE",
        homepage="https://github.com/AoiDragon/POPE",
        licence="questions MIT, images under Flickr's terms",
        counts=dict.fromkeys(_SETS, 3_000),
        counts_source="https://github.com/AoiDragon/POPE, output/coco",
    )
    splits = _SETS

    train_split: str = _ALL
    eval_split: str = _ALL

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations((f"coco_pope_{name}.json", f"output/coco/coco_pope_{name}.json"))
        # Each set numbers its questions from 1.
        rows = (row | {"set": name, "id": f"{name}-{row.get('question_id')}"} for row in read_json_lines(path))
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = read_text(row.get("image"), "image", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(f"val2014/{name}", "image", place),),
            question=read_text(row.get("text"), "text", place),
            answers=(read_text(row.get("label"), "label", place),),
            category=row["set"],
        )
