"""InfographicVQA (Mathew et al., 2022): questions about infographics.

    infographicsvqa_qas/infographicsVQA_train_v1.0.json   {"data": [{"questionId": 98313, "question": "Which one?",
                                                            "image_local_name": "37313.jpeg", "answers": ["news"]}]}
    infographicsvqa_images/37313.jpeg

Source:
    https://rrc.cvc.uab.es/?ch=17&com=tasks; mmpretrain datasets/infographicvqa (fields); big_vision
    datasets/infovqa/infovqa.py (0127fb6: files, and the orders of lists).
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from typing import ClassVar

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.question_rows import first_folder, read_question
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

_STEMS = {
    "train": ("infographicsVQA_train_v1.0",),
    "val": ("infographicsVQA_val_v1.0_withQT", "infographicsVQA_val_v1.0"),
    "test": ("infographicsVQA_test_v1.0",),
}
_SEPARATOR = ", "
# 5040 orders; a longer list is kept as it is, for its orders alone would fill the memory.
_LONGEST_PERMUTED = 7


@dataclass(frozen=True, kw_only=True)
class InfoVqa(PublishedDataset):
    """Questions and answers of InfographicVQA.

    In val, an answer that lists several things counts in any order, as the task's rules say, so that each order is one
    more answer there.

    Args:
        root: Folder with infographicsvqa_qas and infographicsvqa_images, unpacked from the downloads of
            "Infographics VQA" at rrc.cvc.uab.es/?ch=17&com=downloads (with an account, under that page's terms).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="InfographicVQA",
        homepage="https://rrc.cvc.uab.es/?ch=17&com=downloads",
        licence="see the download page; images are of their publishers",
        counts={"train": 23_946, "val": 2_801, "test": 3_288},
        counts_source="Mathew et al., InfographicVQA (2022); big_vision datasets/infovqa (0127fb6)",
    )
    splits = _STEMS
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="questionId", answer_key="answer", server="https://rrc.cvc.uab.es/?ch=17&com=mymethods&task=3"
    )

    def _open_one(self, name: str) -> RowSource:
        folders = ("infographicsvqa_qas/", "")
        path = self.annotations([f"{folder}{stem}.json" for folder in folders for stem in _STEMS[name]])
        folder = first_folder(self.folder, ("infographicsvqa_images", "images"))
        read = partial(self._read, folder=folder, any_order=name == "val")
        return pack_rows(read_json_list(path, "data"), read=read, file=path.name, unit="question", id_key="questionId")

    def _read(self, row: Row, place: RowPlace, *, folder: str, any_order: bool) -> Sample:
        name = f"{folder}/{read_text(row.get('image_local_name'), 'image_local_name', place)}"
        image = self.image(name, "image_local_name", place)
        sample = read_question(row, place, image=image, id_key="questionId")
        return replace(sample, answers=_in_any_order(sample.answers)) if any_order else sample


def _in_any_order(answers: tuple[str, ...]) -> tuple[str, ...]:
    """Return each order of each list; "a, b" gives "a, b" and "b, a"."""
    lists = [answer.split(_SEPARATOR) for answer in answers]
    return tuple(
        _SEPARATOR.join(order)
        for parts in lists
        for order in (permutations(parts) if len(parts) <= _LONGEST_PERMUTED else [parts])
    )
