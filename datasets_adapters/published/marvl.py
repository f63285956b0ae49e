"""MaRVL (Liu et al., 2021): NLVR2's task in five languages, with photographs chosen where they are spoken.

    marvl-annotations/marvl-id.jsonl   {"id": "id-0", "caption", "concept": "39-Panci", "left_img": "39-0.jpg",
                                        "right_img": "39-11.jpg", "label": true, ...}
    marvl-images/id/images/39-Panci/39-0.jpg

A model that was trained on NLVR2 is asked, without further training, as it was asked there: "answer en {caption}".

Source:
    marvl-challenge/marvl-code, data/README.md; rows and counts: e-bug/iglue datasets/marvl/zero_shot/annotations;
    prefix: big_vision configs/proj/paligemma/transfers/nlvr2.py (0127fb6).
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_lines
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_flag, read_text
from finetune.published import DataCard
from finetune.types import Sample

_LANGUAGES = ("id", "sw", "ta", "tr", "zh")
_ALL = "+".join(_LANGUAGES)


@dataclass(frozen=True, kw_only=True)
class Marvl(PublishedDataset):
    """Sentences of MaRVL with the left and the right image; scores can be told apart by language.

    Args:
        root: Folder with marvl-annotations and marvl-images, from the Dataverse that marvl-challenge.github.io links to
            (texts CC BY 4.0; images for research alone).
        train_split, eval_split: Of id, sw, ta, tr and zh, or slices and sums of them. None is for training.
    """

    card = DataCard(
        title="MaRVL",
        homepage="https://marvl-challenge.github.io",
        licence="texts CC BY 4.0, images for research alone",
        counts={"id": 1_128, "sw": 1_108, "ta": 1_242, "tr": 1_180, "zh": 1_012},
        counts_source="the files of e-bug/iglue datasets/marvl/zero_shot",
    )
    splits = _LANGUAGES

    train_split: str = _ALL
    eval_split: str = _ALL

    def _open_one(self, language: str) -> RowSource:
        path = self.annotations(f"marvl-annotations/marvl-{language}.jsonl")
        rows = (row | {"folder": f"marvl-images/{language}/images"} for row in read_json_lines(path))
        return pack_rows(rows, read=self._read, file=path.name, unit="caption", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        folder = f"{row['folder']}/{read_text(row.get('concept'), 'concept', place)}"
        names = (read_text(row.get(field), field, place) for field in ("left_img", "right_img"))
        # NLVR2's words for them.
        answer = "True" if read_flag(row.get("label"), "label", place) else "False"
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=tuple(self.image(f"{folder}/{name}", "images", place) for name in names),
            question=read_text(row.get("caption"), "caption", place),
            answers=(answer,),
            category=read_text(row.get("language"), "language", place),
        )
