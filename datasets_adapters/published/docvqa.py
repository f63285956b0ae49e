"""DocVQA (Mathew et al., 2021): questions about scanned pages.

    spdocvqa_qas/train_v1.0_withQT.json   {"data": [{"questionId": 337, "question": "what is the date?",
                                            "image": "documents/xnbl0037_1.png", "answers": ["1/8/93"]}]}
    spdocvqa_images/xnbl0037_1.png

Earlier downloads have train/train_v1.0.json beside train/documents/xnbl0037_1.png; they are read, too.

Source:
    https://rrc.cvc.uab.es/?ch=17&com=tasks (fields, submission); big_vision datasets/docvqa/docvqa.py (0127fb6).
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.question_rows import first_folder, read_question
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample


@dataclass(frozen=True, kw_only=True)
class DocVqa(PublishedDataset):
    """Questions and answers of DocVQA's first task (one page each).

    Args:
        root: Folder with spdocvqa_qas and spdocvqa_images, unpacked from the downloads of "Single Page Document VQA" at
            rrc.cvc.uab.es/?ch=17&com=downloads (with an account, under that page's terms).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="DocVQA",
        homepage="https://rrc.cvc.uab.es/?ch=17&com=downloads",
        licence="see the download page; pages are of the UCSF Industry Documents Library",
        counts={"train": 39_463, "val": 5_349, "test": 5_188},
        counts_source="Mathew et al., DocVQA (2021), section 3",
    )
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="questionId", answer_key="answer", server="https://rrc.cvc.uab.es/?ch=17&com=mymethods&task=1"
    )

    def _open_one(self, name: str) -> RowSource:
        stems = (f"{name}_v1.0_withQT", f"{name}_v1.0")
        folders = ("spdocvqa_qas/", f"{name}/", "")
        path = self.annotations([f"{folder}{stem}.json" for folder in folders for stem in stems])
        folder = first_folder(self.folder, ("spdocvqa_images", f"{name}/documents", "documents"))
        read = partial(self._read, folder=folder)
        return pack_rows(read_json_list(path, "data"), read=read, file=path.name, unit="question", id_key="questionId")

    def _read(self, row: Row, place: RowPlace, *, folder: str) -> Sample:
        name = f"{folder}/{read_text(row.get('image'), 'image', place).removeprefix('documents/')}"
        image = self.image(name, "image", place)
        return read_question(row, place, image=image, id_key="questionId")
