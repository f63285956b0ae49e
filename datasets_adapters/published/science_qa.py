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

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_object
from datasets_adapters.published.question_rows import first_folder
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, optional_text, quote, read_text, read_texts
from finetune.published import DataCard
from finetune.types import Sample


@dataclass(frozen=True, kw_only=True)
class ScienceQaImages(PublishedDataset):
    """Questions of ScienceQA with an image, their choices, and a hint where there is one.

    Args:
        root: Folder with problems.json and the folder images (unpacked from train.zip, val.zip and test.zip), which is
            data/scienceqa of github.com/lupantech/ScienceQA after its tools/download.sh (CC BY-NC-SA 4.0).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="ScienceQA",
        homepage="https://github.com/lupantech/ScienceQA",
        licence="CC BY-NC-SA 4.0",
        counts={"train": 6_218, "val": 2_097, "test": 2_017},
        counts_source="https://huggingface.co/datasets/lmms-lab/ScienceQA-IMG",
    )

    eval_split: str = "test"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations("problems.json")
        rows = [
            problem | {"id": number}
            for number, problem in read_json_object(path).items()
            if isinstance(problem, dict) and problem.get("split") == name and problem.get("image")
        ]
        read = partial(self._read, folder=first_folder(self.folder, (f"images/{name}", name)))
        return pack_rows(rows, read=read, file=path.name, unit="problem", id_key="id")

    def _read(self, row: Row, place: RowPlace, *, folder: str) -> Sample:
        name = f"{folder}/{row['id']}/{read_text(row.get('image'), 'image', place)}"
        choices = read_texts(row.get("choices"), "choices", place)
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "image", place),),
            question=read_text(row.get("question"), "question", place),
            choices=choices,
            answers=(choices[_answer(row.get("answer"), len(choices), place)],),
            context=optional_text(row, "hint", place, may_be_empty=True) or None,
        )


def _answer(value: object, count: int, place: RowPlace) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        place.refuse("answer", "no-such-choice", f"must be a whole number from 0 to {count - 1}, got {quote(value)}")
    return value
