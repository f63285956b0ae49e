"""xGQA (Pfeiffer et al., 2022): GQA's balanced test-dev questions in eight languages, with the English answers.

    data/zero_shot/testdev_balanced_questions_de.json   as GQA's own files
    images/n161313.jpg                                   GQA's

A model that was trained on GQA is asked, without further training, as it was asked there: in the words
"answer en ..." whatever the question's language, for the answer is to be English.

Source:
    adapter-hub/xGQA, README, whose own means leave English out; e-bug/iglue datasets/xGQA, for rows; big_vision
    configs/proj/paligemma/transfers/gqa.py (0127fb6), for the prefix.
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.gqa import question_rows
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample

_LANGUAGES = ("bn", "de", "en", "id", "ko", "pt", "ru", "zh")
_ALL = "+".join(_LANGUAGES)


@dataclass(frozen=True, kw_only=True)
class Xgqa(PublishedDataset):
    """Questions of xGQA's zero-shot test; scores can be told apart by language.

    Args:
        root: Folder of a copy of github.com/adapter-hub/xGQA (CC BY 4.0), with GQA's folder images in it
            (cs.stanford.edu/people/dorarad/gqa/download.html; Flickr's terms).
        train_split, eval_split: Of bn, de, en, id, ko, pt, ru and zh, or slices and sums of them. None is for training.
    """

    card = DataCard(
        title="xGQA",
        homepage="https://github.com/adapter-hub/xGQA",
        licence="questions CC BY 4.0, images under Flickr's terms",
        counts=dict.fromkeys(_LANGUAGES, 12_578),
        counts_source="https://github.com/adapter-hub/xGQA: the few-shot sets (9,666, 1,422, 1,490) together",
    )
    splits = _LANGUAGES

    train_split: str = _ALL
    eval_split: str = _ALL

    def _open_one(self, language: str) -> RowSource:
        path = self.annotations(f"data/zero_shot/testdev_balanced_questions_{language}.json")
        # A question has the same id in every language.
        rows = (
            row | {"language": language, "example_id": f"{row['question_id']}_{language}"}
            for row in question_rows(path)
        )
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="example_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(f"images/{row.get('imageId')}.jpg", "imageId", place),),
            question=read_text(row.get("question"), "question", place),
            answers=(read_text(row.get("answer"), "answer", place),),
            category=row["language"],
        )
