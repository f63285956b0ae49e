"""RSVQA-HR: 15 cm a pixel, of aerial photographs. Its files are described in `datasets_adapters.published.rsvqa`."""

from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.rows import RowSource
from datasets_adapters.published.rsvqa import Form, open_questions
from datasets_adapters.published.splits import open_split
from finetune.types import DataCard, Source

_FORM = Form(
    stems={
        "train": "USGS_split_train",
        "val": "USGS_split_val",
        "test": "USGS_split_test",
        "test_2": "USGS_split_test_phili",
    },
    image_folder="Data",
    suffixes=("png", "tif"),
    numeric_types=("count", "area"),
    binned_type="area",
    unit="m2",
)
_COUNTS = {"train": 625_340, "val": 102_843, "test": 222_684, "test_2": 105_647}
_COUNTS_WITHOUT_NUMBERS = {"train": 371_834, "val": 60_405, "test": 131_468, "test_2": 62_554}


@dataclass(frozen=True, kw_only=True)
class RsvqaHr:
    """Questions and answers of RSVQA-HR; scores can be told apart by comp, presence, count and area.

    Args:
        root: Folder with USGS_split_{train,val,test,test_phili}_{questions,answers}.json and the folder Data,
            from zenodo.org/records/6344367 (CC BY 4.0).
        numeric: Whether questions that ask for a count or an area take part; the original leaves them out.
        train_split, eval_split: Of train, val, test and test_2 (Philadelphia, unseen), or slices and sums of them.
    """

    root: str
    numeric: bool = True
    train_split: str = "train"
    eval_split: str = "val"

    @property
    def card(self) -> DataCard:
        """What is published of it, with or without questions that ask for a number."""
        return DataCard(
            title="RSVQA-HR",
            homepage="https://zenodo.org/records/6344367",
            licence="CC BY 4.0",
            counts=_COUNTS if self.numeric else _COUNTS_WITHOUT_NUMBERS,
            counts_source="big_vision datasets/rsvqa_hr (0127fb6)",
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
