"""Screen2Words (Wang et al., 2021): what a screen of an Android app is for, in five short summaries.

    screen_summaries.csv      screenId,summary  (one line a summary)
    split/train_screens.txt   a screenId a line
    combined/10533.jpg        RICO's screenshots

Source:
    https://github.com/google-research-datasets/screen2words, README.md and split/; the columns as big_vision
    datasets/screen2words/screen2words.py (0127fb6) and pix2struct's preprocessing read them.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_cells, read_plain_text
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_texts
from finetune.published import DataCard
from finetune.types import Sample, Source

_FILE = "screen_summaries.csv"
_HEADER = ["screenId", "summary"]


@dataclass(frozen=True, kw_only=True)
class Screen2Words(PublishedDataset):
    """Summaries of screens of mobile apps.

    Args:
        root: Folder with screen_summaries.csv and split/{train,dev,test}_screens.txt, as in
            github.com/google-research-datasets/screen2words, and RICO's folder combined of screenshots ("UI Screenshots
            and View Hierarchies" at interactionmining.org/rico: unique_uis.tar.gz) (summaries CC BY 4.0; screenshots
            for research).
        train_split, eval_split: Of train, dev and test, or slices and sums of them.
    """

    card = DataCard(
        title="Screen2Words",
        homepage="https://github.com/google-research-datasets/screen2words and https://interactionmining.org/rico",
        licence="summaries CC BY 4.0, screenshots for research",
        counts={"train": 15_743, "dev": 2_364, "test": 4_310},
        counts_source="https://github.com/google-research-datasets/screen2words, split/, which was read whole",
    )
    splits = ("train", "dev", "test")

    eval_split: str = "dev"

    def _opener(self) -> Callable[[str], Source]:
        summaries = cache(self._read_summaries)
        return lambda name: self._open_split(name, summaries())

    def _read_summaries(self) -> Mapping[str, list[str]]:
        path = self.annotations(_FILE)
        summaries: dict[str, list[str]] = defaultdict(list)
        rows = read_cells(path)
        if next(rows, (0, []))[1] != _HEADER:
            raise ValueError(f"{path} must begin with the line {','.join(_HEADER)}; is it another file?")
        for _, cells in rows:
            # A comma inside a summary that no quotes protect is a part of it, as for pix2struct; csv.DictReader, as the
            # original reads the file, would drop what follows.
            summaries[cells[0]].append(",".join(cells[1:]))
        return summaries

    def _open_split(self, name: str, summaries: Mapping[str, list[str]]) -> RowSource:
        path = self.annotations(f"split/{name}_screens.txt")
        screens = read_plain_text(path).split()
        rows = [{"screen": screen, "summaries": summaries.get(screen, [])} for screen in screens]
        return pack_rows(rows, read=self._read, file=path.name, unit="screen", id_key="screen")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = f"combined/{row['screen']}.jpg"
        if not row["summaries"]:
            place.refuse("summary", "missing-annotation", f"{_FILE} has no summary of this screen: copy the file again")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "screen", place),),
            captions=read_texts(row["summaries"], "summary", place),
        )
