"""RSVQA-LR: 10 m a pixel, of satellite images. Its files are described in `datasets_adapters.published.rsvqa`."""

from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.rows import RowSource
from datasets_adapters.published.rsvqa import Form, open_questions
from datasets_adapters.published.splits import open_split
from finetune.types import DataCard, Source

_FORM = Form(
    stems={"train": "LR_split_train", "val": "LR_split_val", "test": "LR_split_test"},
    image_folder="Images_LR",
    suffixes=("tif",),
    numeric_types=("count",),
    binned_type="count",
    unit="",
)
_COUNTS = {"train": 57_223, "val": 10_005, "test": 10_004}
_COUNTS_WITHOUT_NUMBERS = {"train": 39_441, "val": 6_782, "test": 6_782}


@dataclass(frozen=True, kw_only=True)
class RsvqaLr:
    """Questions and answers of RSVQA-LR; scores can be told apart by comp, presence, rural_urban and count.

    Args:
        root: Folder with LR_split_{train,val,test}_{questions,answers}.json and the folder Images_LR,
            from zenodo.org/records/6344334 (CC BY 4.0).
        numeric: Whether questions that ask for a count take part; the original leaves them out.
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    root: str
    numeric: bool = True
    train_split: str = "train"
    eval_split: str = "val"

    @property
    def card(self) -> DataCard:
        """What is published of it, with or without questions that ask for a number."""
        return DataCard(
            title="RSVQA-LR",
            homepage="https://zenodo.org/records/6344334",
            licence="CC BY 4.0",
            counts=_COUNTS if self.numeric else _COUNTS_WITHOUT_NUMBERS,
            counts_source="big_vision datasets/rsvqa_lr (0127fb6)",
        )

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _FORM.stems, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        return open_questions(root, name, _FORM, self.card, numeric=self.numeric)
