"""ScienceQA (Lu et al., 2022), the questions that come with an image.

    problems.json            {"1": {"question": "Which is farthest north?", "choices": ["Maine", "Ohio"], "answer": 0,
                              "hint": "", "image": "image.png", "split": "train", ...}}
    images/train/1/image.png

Source:
    lupantech/ScienceQA, README and tools/download.sh; big_vision datasets/science_qa/science_qa.py (0127fb6), which
    leaves out questions without an image, too.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import find_annotations, read_json_object
from datasets_adapters.published.question_rows import first_folder
from datasets_adapters.published.rows import Row, RowSource, image_at, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.rows import RowPlace, optional_text, quote, read_text, read_texts
from finetune.types import DataCard, Sample, Source

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class ScienceQaImages:
    """Questions of ScienceQA with an image, their choices, and a hint where there is one.

    Args:
        root: Folder with problems.json and the folder images (unpacked from train.zip, val.zip and test.zip), which is
            data/scienceqa of github.com/lupantech/ScienceQA after its tools/download.sh (CC BY-NC-SA 4.0).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card: ClassVar[DataCard] = DataCard(
        title="ScienceQA",
        homepage="https://github.com/lupantech/ScienceQA",
        licence="CC BY-NC-SA 4.0",
        counts={"train": 6_218, "val": 2_097, "test": 2_017},
        counts_source="https://huggingface.co/datasets/lmms-lab/ScienceQA-IMG",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "test"

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, "problems.json", self.card)
        rows = [
            problem | {"id": number}
            for number, problem in read_json_object(path).items()
            if isinstance(problem, dict) and problem.get("split") == name and problem.get("image")
        ]
        read = partial(self._read, folder=first_folder(root, (f"images/{name}", name)))
        return pack_rows(rows, read=read, file=path.name, unit="problem", id_key="id")

    def _read(self, row: Row, place: RowPlace, *, folder: str) -> Sample:
        name = f"{folder}/{row['id']}/{read_text(row.get('image'), 'image', place)}"
        choices = read_texts(row.get("choices"), "choices", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(image_at(self.root, name, "image", place),),
            question=read_text(row.get("question"), "question", place),
            choices=choices,
            answers=(choices[_answer(row.get("answer"), len(choices), place)],),
            context=optional_text(row, "hint", place, may_be_empty=True) or None,
        )


def _answer(value: object, count: int, place: RowPlace) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        place.refuse("answer", "no-such-choice", f"must be a whole number from 0 to {count - 1}, got {quote(value)}")
    return value
