from dataclasses import dataclass

from datasets_adapters.scenes import Scenes
from finetune.inspection.page import inspection_html
from finetune.inspection.publication import check_publication
from finetune.inspection.statistics import Inspection
from finetune.published import DataCard
from finetune.types import Source

CARD = DataCard(
    title="Scenes <of> ours",
    homepage="https://scenes.example",
    licence="CC0",
    counts={"train": 4, "val": 5, "test": 6, "gone": 7},
    counts_source="https://scenes.example/readme",
)
SIZES = {"train": 4, "val": 4, "test": 1_007}


@dataclass(frozen=True, kw_only=True)
class Some:
    train_split: str = "train"
    eval_split: str = "val"

    def open(self, split: str) -> Source:
        if split not in SIZES:
            raise ValueError(f"dataset.root: data has no {split}.json (seen from /home); Scenes is to be had from afar")
        return Scenes(num_train=SIZES[split]).open("train")


def test_every_split_of_the_card_is_counted_and_a_missing_one_is_named_with_what_is_missing() -> None:
    assert list(check_publication(Some(), CARD).lines()) == [
        "Scenes <of> ours: https://scenes.example (CC0)",
        "  train: 4 rows, as published",
        "  val: 4 rows: 1 fewer than published (https://scenes.example/readme)",
        "  test: 1,007 rows: 1,001 more than published (https://scenes.example/readme)",
        "  gone: not here: data has no gone.json",
    ]


def test_the_page_shows_card_and_counts_as_text(inspection: Inspection) -> None:
    html = inspection_html(inspection, "scenes", publication=check_publication(Some(), CARD))
    assert "Scenes &lt;of&gt; ours, from https://scenes.example. Licence: CC0." in html
    assert "<td>val</td><td>4</td><td>5</td><td>1 fewer than published</td>" in html
    assert "<td>gone</td><td>–</td><td>7</td><td>not here: data has no gone.json</td>" in html
    assert "As published" not in inspection_html(inspection, "scenes")
