"""ChartQA (Masry et al., 2022): questions about charts, written by people or made by a model from summaries.

    train/train_human.json       [{"imgname": "two_col_22965.png", "query": "Which year has most?", "label": "2018"}]
    train/train_augmented.json
    train/png/two_col_22965.png

Source:
    vis-nlp/ChartQA, README ("ChartQA Dataset").
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.question_rows import first_folder
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample, Source

_FOLDERS = ("train", "val", "test")
_CATEGORIES = ("human", "augmented")
_SPLITS = (*_FOLDERS, *(f"{folder}_{category}" for folder in _FOLDERS for category in _CATEGORIES))


@dataclass(frozen=True, kw_only=True)
class ChartQa(PublishedDataset):
    """Questions and answers of ChartQA; scores can be told apart by `human` and `augmented`.

    Args:
        root: The folder "ChartQA Dataset" (or one that holds it), with train, val and test, each with its two JSON
            files and the folder png, from github.com/vis-nlp/ChartQA (GPL-3.0).
        train_split, eval_split: Of train, val and test, or one kind of them, such as test_human; or slices and sums.
    """

    card = DataCard(
        title="ChartQA",
        homepage="https://github.com/vis-nlp/ChartQA",
        licence="GPL-3.0",
        counts={
            "train_human": 7_398,
            "train_augmented": 20_901,
            "val_human": 960,
            "val_augmented": 960,
            "test_human": 1_250,
            "test_augmented": 1_250,
        },
        counts_source="Masry et al., ChartQA (2022), table 2",
    )
    splits = _SPLITS

    def _open_one(self, name: str) -> Source:
        if name in _FOLDERS:
            return open_split("+".join(f"{name}_{category}" for category in _CATEGORIES), _SPLITS, self._open_one)
        folder, category = name.split("_")
        place = first_folder(self.folder, (folder, f"ChartQA Dataset/{folder}"))
        path = self.annotations(f"{place}/{name}.json")
        return _pack(path, partial(self._read, folder=f"{place}/png", category=category))

    def _read(self, row: Row, place: RowPlace, *, folder: str, category: str) -> Sample:
        name = f"{folder}/{read_text(row.get('imgname'), 'imgname', place)}"
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "imgname", place),),
            question=read_text(row.get("query"), "query", place),
            answers=(read_text(row.get("label"), "label", place),),
            category=category,
        )


def _pack(path: Path, read: "partial[Sample]") -> RowSource:
    # The authors give rows no id.
    rows = [row | {"id": f"{path.stem}-{number}"} for number, row in enumerate(read_json_list(path))]
    return pack_rows(rows, read=read, file=path.name, unit="row", id_key="id")
