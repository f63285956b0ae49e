"""ActivityNet-QA (Yu et al., 2019): ten questions about each of 5800 videos, minutes long.

    train_q.json   [{"video_name": "okC18bPTils", "question": "are all of them men", "question_id": "v_okC18bPTils_3"}]
    train_a.json   [{"question_id": "v_okC18bPTils_3", "answer": "no", "type": 3}]
    frames/v_okC18bPTils/000001.jpg   extracted by you, the folders named as those of ActivityNet's captions

Source:
    MILVLG/activitynet-qa, dataset/README.md and its six files; big_vision transfers/activitynet_qa.py, which counted
    27610, 15760 and 6900 questions whose videos still existed in April 2024.
"""

from dataclasses import dataclass

from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.ids import by_id, under_id
from datasets_adapters.published.rows import Row, RowSource, pack_rows, public_id
from datasets_adapters.published.videos import PublishedVideos
from datasets_adapters.rows import RowPlace, quote, read_text
from finetune.published import DataCard
from finetune.types import Sample

_TYPES = ("motion", "spatial", "temporal", "yesno", "color", "object", "location", "number", "other")


@dataclass(frozen=True, kw_only=True)
class ActivitynetQa(PublishedVideos):
    """Questions and answers of ActivityNet-QA.

    Scores can be told apart by motion, spatial, temporal, yesno, color, object, location, number and other.

    Args:
        root: Folder with train_q.json, train_a.json and so on, from github.com/MILVLG/activitynet-qa, dataset (not for
            commercial use; videos: activity-net.org/download.html), and frames/v_<id>/ for each video:
            ffmpeg -i v_<id>.mp4 -fps_mode passthrough -q:v 2 frames/v_<id>/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="ActivityNet-QA",
        homepage="https://github.com/MILVLG/activitynet-qa",
        licence="Apache-2.0, not for commercial use; videos under YouTube's terms",
        counts={"train": 32_000, "val": 18_000, "test": 8_000},
        counts_source="https://github.com/MILVLG/activitynet-qa, dataset/README.md",
    )

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"{name}_q.json")
        answers_path = self.annotations(f"{name}_a.json")
        answers = by_id(read_json_list(answers_path), "question_id", answers_path)
        rows = [
            row | {"video": f"v_{row.get('video_name')}", "annotation": under_id(row.get("question_id"), answers, {})}
            for row in read_json_list(path)
        ]
        return pack_rows(self.shown(rows, path), read=self._read, file=path.name, unit="question", id_key="question_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        identifier, annotation = public_id(row, "question_id", place), row["annotation"]
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=self.frames(row["video"], place),
            frame_stride=self.frame_stride,
            question=read_text(row.get("question"), "question", place),
            answers=(read_text(annotation.get("answer"), "answer", place),),
            category=_category(annotation.get("type"), place),
            public_id=identifier,
        )


def _category(number: object, place: RowPlace) -> str:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(_TYPES):
        place.refuse("type", "unknown-type", f"must be 0 to {len(_TYPES) - 1}, got {quote(number)}")
    return _TYPES[number]
