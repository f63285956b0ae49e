"""NLVR2 (Suhr et al., 2019): is a sentence true of two photographs?

    nlvr2/data/train.json             {"identifier": "train-10171-0-0", "sentence", "label": "True", "directory": 49}
    nlvr2/data/dev.json, test1.json   the same without "directory", one object a line
    images/train/49/train-10171-0-img0.png and ...-img1.png: left and right
    dev/dev-850-0-img0.png, test1/test1-0-1-img0.png

The original's builder is not public; that its answers are the labels as they stand here, True and False, is assumed.

Source:
    lil-lab/nlvr, nlvr2/README.md and nlvr2/data; folders: dandelin/ViLT DATA.md and vilt/utils/write_nlvr2.py. Counts:
    the files of dev and test1; train is what the 107,292 of the paper leave after both test sets.
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_lines
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, quote, read_text
from finetune.published import DataCard
from finetune.types import Sample

_FILES = {"train": "train", "dev": "dev", "test": "test1"}
_KEPT = ("identifier", "sentence", "label", "directory")


@dataclass(frozen=True, kw_only=True)
class Nlvr2(PublishedDataset):
    """Sentences of NLVR2 with the left and the right image.

    Args:
        root: Folder with github.com/lil-lab/nlvr's folder nlvr2 (CC BY 4.0) and the images that its authors send for
            research (forms linked there): images/train, dev and test1.
        train_split, eval_split: Of train, dev and test (the public one, test1), or slices and sums of them.
    """

    card = DataCard(
        title="NLVR2",
        homepage="https://github.com/lil-lab/nlvr",
        licence="sentences CC BY 4.0, images for research alone",
        counts={"train": 86_373, "dev": 6_982, "test": 6_967},
        counts_source="https://arxiv.org/abs/1811.00491",
    )
    splits = _FILES

    eval_split: str = "dev"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"nlvr2/data/{_FILES[name]}.json")
        rows = ({key: row[key] for key in _KEPT if key in row} for row in read_json_lines(path))
        return pack_rows(rows, read=self._read, file=path.name, unit="sentence", id_key="identifier")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        stem = _image_stem(row, place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=tuple(self.image(f"{stem}-img{side}.png", "identifier", place) for side in (0, 1)),
            question=read_text(row.get("sentence"), "sentence", place),
            answers=(read_text(row.get("label"), "label", place),),
        )


def _image_stem(row: Row, place: RowPlace) -> str:
    """Return what the names of both images start with: split-set-pair, of split-set-pair-sentence."""
    identifier = read_text(row.get("identifier"), "identifier", place)
    pair, _, sentence = identifier.rpartition("-")
    if not pair or not sentence:
        place.refuse("identifier", "wrong-type", f"must be split-set-pair-sentence, got {quote(identifier)}")
    split = pair.partition("-")[0]
    return f"images/train/{row.get('directory')}/{pair}" if split == "train" else f"{split}/{pair}"
