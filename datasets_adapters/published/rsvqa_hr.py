"""RSVQA-HR: 15 cm a pixel, of aerial photographs. Its files are described in `datasets_adapters.published.rsvqa`."""

from dataclasses import dataclass

from datasets_adapters.published.rsvqa import Form, Rsvqa
from finetune.published import DataCard

_SPLITS = {
    "train": "USGS_split_train",
    "val": "USGS_split_val",
    "test": "USGS_split_test",
    "test_2": "USGS_split_test_phili",
}
_FORM = Form(
    image_folder="Data",
    suffixes=("png", "tif"),
    numeric_types=("count", "area"),
    binned_type="area",
    unit="m2",
    counts_without_numbers={"train": 371_834, "val": 60_405, "test": 131_468, "test_2": 62_554},
)


@dataclass(frozen=True, kw_only=True)
class RsvqaHr(Rsvqa):
    """Questions and answers of RSVQA-HR; scores can be told apart by comp, presence, count and area.

    Args:
        root: Folder with USGS_split_{train,val,test,test_phili}_{questions,answers}.json and the folder Data,
            from zenodo.org/records/6344367 (CC BY 4.0).
        numeric: Whether questions that ask for a count or an area take part; the original leaves them out.
        train_split, eval_split: Of train, val, test and test_2 (Philadelphia, unseen), or slices and sums of them.
    """

    card = DataCard(
        title="RSVQA-HR",
        homepage="https://zenodo.org/records/6344367",
        licence="CC BY 4.0",
        counts={"train": 625_340, "val": 102_843, "test": 222_684, "test_2": 105_647},
        counts_source="big_vision datasets/rsvqa_hr (0127fb6)",
    )
    splits = _SPLITS
    form = _FORM
