"""SciCap (Hsu et al., 2021): graph plots of computer science papers, and the first sentence of their captions.

    List-of-Files-for-Each-Experiments/First-Sentence/No-Subfig/train/file_idx.json   ["1001.0025v1-Figure2-1.png", …]
    SciCap-Caption-All/train/1001.0025v1-Figure2-1.json   {"figure-ID": "1001.0025v1-Figure2-1.png",
        "1-lowercase-and-token-and-remove-figure-index": {"caption": "impact of …", "sentence": […], "token": […]}}
    SciCap-No-Subfig-Img/train/1001.0025v1-Figure2-1.png

`caption` there is the whole caption, as the original trains on; what is "first sentence" is the list of figures.

Source:
    https://github.com/tingyaohsu/SciCap, README.md; big_vision datasets/scicap/scicap.py (0127fb6). The README draws
    the folders as Train, Val, Test; readers of the archive, the original's among them, find train, val, test.
"""

from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from datasets_adapters.strict_json import StrictJsonError, parse_json
from finetune.published import DataCard
from finetune.types import Sample

_CAPTIONS = "1-lowercase-and-token-and-remove-figure-index"


@dataclass(frozen=True, kw_only=True)
class SciCap(PublishedDataset):
    """Captions of figures without sub-figures, lowered, in words, without "Figure 2:".

    Args:
        root: Folder scicap_data of scicap_data.zip, to which github.com/tingyaohsu/SciCap leads: it holds
            List-of-Files-for-Each-Experiments, SciCap-Caption-All and SciCap-No-Subfig-Img (CC BY-NC-SA 4.0).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="SciCap",
        homepage="https://github.com/tingyaohsu/SciCap",
        licence="CC BY-NC-SA 4.0",
        counts={"train": 106_834, "val": 13_354, "test": 13_355},
        counts_source="https://github.com/tingyaohsu/SciCap, README.md: first sentence, no sub-figures",
    )

    def _open_one(self, name: str) -> RowSource:
        listed = f"List-of-Files-for-Each-Experiments/First-Sentence/No-Subfig/{name}/file_idx.json"
        path = self.annotations(listed)
        figures = read_json(path)
        if not isinstance(figures, list) or not all(isinstance(figure, str) for figure in figures):
            raise ValueError(f"{path} must be a list of file names; is it another file?")
        rows = [{"figure": figure.removesuffix(".png"), "split": name} for figure in figures]
        return pack_rows(rows, read=self._read, file=f"{name}/file_idx.json", unit="figure", id_key="figure")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        figure, split = row["figure"], row["split"]
        name = f"SciCap-No-Subfig-Img/{split}/{figure}.png"
        described = self.file(f"SciCap-Caption-All/{split}/{figure}.json", "figure", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "figure", place),),
            captions=(_read_caption(described, place),),
        )


def _read_caption(path: Path, place: RowPlace) -> str:
    try:
        described = parse_json(path.read_bytes())
    except StrictJsonError as error:
        place.refuse(path.name, error.code, f"{error}")
    captions = described.get(_CAPTIONS) if isinstance(described, dict) else None
    return read_text(captions.get("caption") if isinstance(captions, dict) else None, f"{_CAPTIONS}.caption", place)
