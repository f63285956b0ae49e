"""VizWiz-VQA (Gurari et al., 2018): what blind people asked about photographs they took, ten answers each.

    Annotations/train.json   [{"image": "VizWiz_train_00000000.jpg", "question", "answers": [{"answer",
                               "answer_confidence"}], "answer_type", "answerable"}]
    train/VizWiz_train_00000000.jpg

The test file has image and question alone. Its server knows questions by their images. A few answers are empty: they
are left out, as the original leaves them out.

Source:
    big_vision datasets/vizwizvqa/vizwizvqa.py and configs/proj/paligemma/transfers/vizwizvqa.py (0127fb6). Counts of
    val and test: the card of lmms-lab/VizWiz-VQA; that of train could not be looked up where the authors state it.
"""

from dataclasses import dataclass
from typing import ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows, texts_under
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

_HIDDEN = "test"


@dataclass(frozen=True, kw_only=True)
class VizWizVqa(PublishedDataset):
    """Questions and answers of VizWiz-VQA.

    Args:
        root: Folder with Annotations and the folders train, val and test of images, all from
            vizwiz.org/tasks-and-datasets/vqa (CC BY 4.0).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="VizWiz-VQA",
        homepage="https://vizwiz.org/tasks-and-datasets/vqa",
        licence="CC BY 4.0",
        counts={"train": 20_523, "val": 4_319, "test": 8_000},
        counts_source="https://vizwiz.org/tasks-and-datasets/vqa",
    )
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="image", answer_key="answer", server="https://vizwiz.org/tasks-and-datasets/vqa"
    )

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations((f"Annotations/{name}.json", f"annotations/{name}.json"))
        rows = [row | {"split": name} for row in read_json_list(path)]
        return pack_rows(rows, read=self._read, file=path.name, unit="image", id_key="image")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = read_text(row.get("image"), "image", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(f"{row['split']}/{name}", "image", place),),
            question=read_text(row.get("question"), "question", place),
            answers=() if row["split"] == _HIDDEN else _answers(row.get("answers"), place),
            public_id=name,
            notes=place.notes,
        )


def _answers(value: object, place: RowPlace) -> tuple[str, ...]:
    if not isinstance(value, list):
        return texts_under(value, "answer", "answers", place)
    kept = [one for one in value if not (isinstance(one, dict) and one.get("answer") == "")]
    if len(kept) < len(value):
        place.notes["empty answers left out"] += len(value) - len(kept)
    return texts_under(kept, "answer", "answers", place)
