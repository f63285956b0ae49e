"""TallyQA (Acharya et al., 2019): how many of them are there? Simple questions, and complex ones that need reasoning.

    train.json, test.json   [{"question_id": 30095774, "image_id": 92410408, "image": "VG_100K_2/2410408.jpg",
                              "question", "answer": 4, "issimple": false, "data_source": "imported_genome"}]
    VG_100K, VG_100K_2, train2014, val2014: images

The training questions do not say whether they are simple. Every row holds the path of its image below these folders.

Source:
    manoja328/TallyQA_dataset, README; big_vision datasets/tallyqa/tallyqa.py (0127fb6). The counts are the paper's and
    could not be compared with its text; no licence is stated.
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_flag, read_id, read_text
from finetune.published import DataCard
from finetune.types import Sample


@dataclass(frozen=True, kw_only=True)
class TallyQa(PublishedDataset):
    """Questions and counts of TallyQA; scores on test can be told apart by `simple` and `complex`.

    Args:
        root: Folder with train.json and test.json (github.com/manoja328/TallyQA_dataset; no licence stated), Visual
            Genome's folders VG_100K and VG_100K_2 (homes.cs.washington.edu/~ranjay/visualgenome; CC BY 4.0) and COCO's
            train2014 and val2014 (cocodataset.org; Flickr's terms).
        train_split, eval_split: Of train and test, or slices and sums of them.
    """

    card = DataCard(
        title="TallyQA",
        homepage="https://github.com/manoja328/TallyQA_dataset",
        licence="questions without a stated licence, images of Visual Genome CC BY 4.0 and COCO under Flickr's terms",
        counts={"train": 249_318, "test": 38_589},
        counts_source="https://arxiv.org/abs/1810.12440 (test: 22,991 simple and 15,598 complex)",
    )
    splits = ("train", "test")

    eval_split: str = "test"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"{name}.json")
        # The original, too, takes both ids to tell questions apart.
        rows = [row | {"id": f"{row.get('image_id')}/{row.get('question_id')}"} for row in read_json_list(path)]
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(read_text(row.get("image"), "image", place), "image", place),),
            question=read_text(row.get("question"), "question", place),
            answers=(read_id(row.get("answer"), "answer", place),),
            category=None if row.get("issimple") is None else _kind(row["issimple"], place),
        )


def _kind(is_simple: object, place: RowPlace) -> str:
    return "simple" if read_flag(is_simple, "issimple", place) else "complex"
