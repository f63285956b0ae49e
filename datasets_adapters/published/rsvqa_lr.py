"""RSVQA-LR: 10 m a pixel, of satellite images. Its files are described in `datasets_adapters.published.rsvqa`."""

from dataclasses import dataclass

from datasets_adapters.published.rsvqa import Form, Rsvqa
from finetune.published import DataCard

_SPLITS = {"train": "LR_split_train", "val": "LR_split_val", "test": "LR_split_test"}
_FORM = Form(
    image_folder="Images_LR",
    suffixes=("tif",),
    numeric_types=("count",),
    binned_type="count",
    unit="",
    counts_without_numbers={"train": 39_441, "val": 6_782, "test": 6_782},
)


@dataclass(frozen=True, kw_only=True)
class RsvqaLr(Rsvqa):
    """Questions and answers of RSVQA-LR; scores can be told apart by comp, presence, rural_urban and count.

    Args:
        root: Folder with LR_split_{train,val,test}_{questions,answers}.json and the folder Images_LR,
            from zenodo.org/records/6344334 (CC BY 4.0).
        numeric: Whether questions that ask for a count take part; the original leaves them out.
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="RSVQA-LR",
        homepage="https://zenodo.org/records/6344334",
        licence="CC BY 4.0",
        counts={"train": 57_223, "val": 10_005, "test": 10_004},
        counts_source="big_vision datasets/rsvqa_lr (0127fb6)",
    )
    splits = _SPLITS
    form = _FORM
