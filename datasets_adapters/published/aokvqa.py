"""A-OKVQA (Schwenk et al., 2022): questions that need knowledge and reasoning, four choices and ten free answers each.

    aokvqa_v1p0_train.json   [{"question_id": "22MexNkBPpdZGX6sxbxVBH", "image_id": 299207, "question", "choices": [4],
                               "correct_choice_idx", "direct_answers": [10], "difficult_direct_answer", "rationales"}]
    train2017/000000299207.jpg

The test file has neither answers nor rationales. Its server takes {question_id: {"multiple_choice": ...,
"direct_answer": ...}}, of which one may be left out.

Source:
    allenai/aokvqa, README and evaluation/eval_predictions.py; big_vision datasets/aokvqa/aokvqa.py (0127fb6). Counts:
    the viewer of HuggingFaceM4/A-OKVQA, whose rounded figures (17.1k, 1.15k, 6.7k) they agree with.
"""

from dataclasses import dataclass
from enum import Enum

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, quote, read_flag, read_text, read_texts
from finetune.published import DataCard, SubmissionFormat
from finetune.types import Sample

_HIDDEN = "test"


class AokvqaSetting(Enum):
    """Whether a question is to be answered freely, or by one of its choices."""

    direct_answer = "direct_answer"
    multiple_choice = "multiple_choice"


@dataclass(frozen=True, kw_only=True)
class Aokvqa(PublishedDataset):
    """Questions of A-OKVQA in one of its two settings.

    With direct answers, scores can be told apart by `ordinary` and `difficult`: the authors' own score is that of the
    ordinary ones, the paper's transfer scores all.

    Args:
        root: Folder with aokvqa_v1p0_*.json (github.com/allenai/aokvqa; Apache 2.0) and the folders train2017, val2017,
            test2017 of COCO's images (cocodataset.org; Flickr's terms).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
        setting: direct_answer gives the ten answers, multiple_choice the choices and the right one.
    """

    card = DataCard(
        title="A-OKVQA",
        homepage="https://github.com/allenai/aokvqa",
        licence="annotations Apache 2.0, images under Flickr's terms",
        counts={"train": 17_056, "val": 1_145, "test": 6_702},
        counts_source="https://huggingface.co/datasets/HuggingFaceM4/A-OKVQA",
    )

    setting: AokvqaSetting = AokvqaSetting.direct_answer

    @property
    def submission(self) -> SubmissionFormat:
        """One object, in which each question's is {setting: answer}."""
        return SubmissionFormat(
            id_key=None,
            answer_key=self.setting.value,
            server="https://leaderboard.allenai.org/a-okvqa/submissions/get-started",
            advice="one file may hold both settings: merge the two files question by question",
        )

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"aokvqa_v1p0_{name}.json")
        rows = [
            row | {"image": f"{name}2017/{row.get('image_id')!s:0>12}.jpg", "is_hidden": name == _HIDDEN}
            for row in read_json_list(path)
        ]
        return pack_rows(rows, read=self._read, file=path.name, unit="question", id_key="question_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        is_direct = self.setting is AokvqaSetting.direct_answer
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(row["image"], "image_id", place),),
            question=read_text(row.get("question"), "question", place),
            answers=() if row["is_hidden"] else self._answers(row, place),
            choices=() if is_direct else _choices(row, place),
            category=_difficulty(row, place) if is_direct else None,
            public_id=read_text(row.get("question_id"), "question_id", place),
        )

    def _answers(self, row: Row, place: RowPlace) -> tuple[str, ...]:
        if self.setting is AokvqaSetting.direct_answer:
            return read_texts(row.get("direct_answers"), "direct_answers", place)
        return _right_choice(row, place)


def _choices(row: Row, place: RowPlace) -> tuple[str, ...]:
    return read_texts(row.get("choices"), "choices", place)


def _right_choice(row: Row, place: RowPlace) -> tuple[str, ...]:
    choices, index = _choices(row, place), row.get("correct_choice_idx")
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(choices):
        place.refuse(
            "correct_choice_idx", "no-such-choice", f"must number one of the choices from 0, got {quote(index)}"
        )
    return (choices[index],)


def _difficulty(row: Row, place: RowPlace) -> str:
    is_difficult = read_flag(row.get("difficult_direct_answer"), "difficult_direct_answer", place)
    return "difficult" if is_difficult else "ordinary"
