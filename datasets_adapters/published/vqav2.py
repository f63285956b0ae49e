"""VQAv2 (Goyal et al., 2017): questions about COCO's photographs, ten answers each.

    v2_OpenEnded_mscoco_train2014_questions.json   {"questions": [{"question_id", "image_id", "question"}]}
    v2_mscoco_train2014_annotations.json           {"annotations": [{"question_id", "answer_type", "answers": [...]}]}
    train2014/COCO_train2014_000000262148.jpg

Source:
    https://visualqa.org/download.html; GT-Vision-Lab/VQA, README.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from datasets_adapters.published.rows import Row
from datasets_adapters.published.vqa_files import VqaDataset, VqaFiles
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

_QUESTIONS = "v2_OpenEnded_mscoco_{}_questions.json"
_ANSWERS = "v2_mscoco_{}_annotations.json"
_SPLITS = {
    "train": VqaFiles(
        questions=_QUESTIONS.format("train2014"), answers=_ANSWERS.format("train2014"), images="train2014"
    ),
    "val": VqaFiles(questions=_QUESTIONS.format("val2014"), answers=_ANSWERS.format("val2014"), images="val2014"),
    "test-dev": VqaFiles(questions=_QUESTIONS.format("test-dev2015"), answers=None, images="test2015"),
    "test": VqaFiles(questions=_QUESTIONS.format("test2015"), answers=None, images="test2015"),
}


@dataclass(frozen=True, kw_only=True)
class Vqav2(VqaDataset):
    """Questions and answers of VQAv2; scores can be told apart by `yesno`, `number` and `other`.

    Args:
        root: Folder with v2_OpenEnded_mscoco_*_questions.json, v2_mscoco_*_annotations.json and the folders train2014,
            val2014, test2015 of images, all from visualqa.org/download.html (CC BY 4.0; images: Flickr's terms).
        train_split, eval_split: Of train, val, test-dev and test, or slices and sums of them.
    """

    card = DataCard(
        title="VQAv2",
        homepage="https://visualqa.org/download.html",
        licence="annotations CC BY 4.0, images under Flickr's terms",
        counts={"train": 443_757, "val": 214_354, "test-dev": 107_394, "test": 447_793},
        counts_source="https://visualqa.org/download.html",
    )
    splits = _SPLITS
    submission: ClassVar[SubmissionFormat] = SubmissionFormat(
        id_key="question_id", answer_key="answer", server="https://eval.ai/web/challenges/challenge-page/830"
    )

    def _read(self, row: Row, place: RowPlace) -> Sample:
        sample = super()._read(row, place)
        annotation = row.get("annotation")
        return sample if annotation is None else replace(sample, category=_category(annotation, place))


def _category(annotation: Row, place: RowPlace) -> str:
    # "yes/no" would be taken for a score of a mixture's part.
    return read_text(annotation.get("answer_type"), "answer_type", place).replace("/", "")
