"""Screen2Words (Wang et al., 2021): what a screen of an Android app is for, in five short summaries.

    screen_summaries.csv      screenId,summary  (one line a summary)
    split/train_screens.txt   a screenId a line
    combined/10533.jpg        RICO's screenshots

Source:
    https://github.com/google-research-datasets/screen2words, README.md and split/; the columns as big_vision
    datasets/screen2words/screen2words.py (0127fb6) and pix2struct's preprocessing read them.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder, find_file
from datasets_adapters.published.files import find_annotations
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, read_texts
from finetune.types import DataCard, ImageFile, Sample, Source

_FILE = "screen_summaries.csv"
_SPLITS = ("train", "dev", "test")
_HEADER = ["screenId", "summary"]


@dataclass(frozen=True, kw_only=True)
class Screen2Words:
    """Summaries of screens of mobile apps.

    Args:
        root: Folder with screen_summaries.csv and split/{train,dev,test}_screens.txt, as in
            github.com/google-research-datasets/screen2words, and RICO's folder combined of screenshots ("UI Screenshots
            and View Hierarchies" at interactionmining.org/rico: unique_uis.tar.gz) (summaries CC BY 4.0; screenshots
            for research).
        train_split, eval_split: Of train, dev and test, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="Screen2Words",
        homepage="https://github.com/google-research-datasets/screen2words and https://interactionmining.org/rico",
        licence="summaries CC BY 4.0, screenshots for research",
        counts={"train": 15_743, "dev": 2_364, "test": 4_310},
        counts_source="https://github.com/google-research-datasets/screen2words, split/, which was read whole",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "dev"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        summaries = cache(self._read_summaries)
        return open_split(split, _SPLITS, lambda name: self._open_one(name, summaries()))

    def _read_summaries(self) -> Mapping[str, list[str]]:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, _FILE, self.card)
        summaries: dict[str, list[str]] = defaultdict(list)
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            if next(lines, None) != _HEADER:
                raise ValueError(f"{path} must begin with the line {','.join(_HEADER)}; is it another file?")
            for cells in filter(None, lines):
                # A comma inside a summary that no quotes protect is a part of it, as for pix2struct; csv.DictReader, as
                # the original reads the file, would drop what follows.
                summaries[cells[0]].append(",".join(cells[1:]))
        return summaries

    def _open_one(self, name: str, summaries: Mapping[str, list[str]]) -> RowSource:
        path = find_annotations(Path(self.root), f"split/{name}_screens.txt", self.card)
        screens = path.read_text(encoding="utf-8").split()
        rows = [{"screen": screen, "summaries": summaries.get(screen, [])} for screen in screens]
        return pack_rows(rows, read=self._read, file=path.name, unit="screen", id_key="screen")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = f"combined/{row['screen']}.jpg"
        if not row["summaries"]:
            place.refuse("summary", "missing-annotation", f"{_FILE} has no summary of this screen: copy the file again")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(ImageFile(name=name, path=find_file(Path(self.root), name, "screen", place)),),
            captions=read_texts(row["summaries"], "summary", place),
        )
