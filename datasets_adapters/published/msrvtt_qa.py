"""MSRVTT-QA (Xu et al., 2017): questions about the clips of MSR-VTT, one word each to answer.

    train_qa.json   [{"id": 0, "video_id": 0, "category_id": 9, "question": "what is a car doing?", "answer": "drive"}]
    frames/video0/000001.jpg   extracted by you; the number of a row names its clip

Source:
    As `generated_qa`; big_vision transfers/msrvtt_qa.py, which counted 114080, 7936 and 51680 questions whose clips
    still existed in April 2024.
"""

from collections.abc import Callable
from dataclasses import dataclass

from datasets_adapters.published.generated_qa import GeneratedQa
from finetune.published import DataCard


@dataclass(frozen=True, kw_only=True)
class MsrvttQa(GeneratedQa):
    """Questions and answers of MSRVTT-QA.

    Args:
        root: Folder with train_qa.json, val_qa.json and test_qa.json, from
            github.com/xudejing/video-question-answering (MIT; clips under YouTube's terms), and frames/video0/ and so
            on, for each clip of MSR-VTT: ffmpeg -i video0.mp4 -fps_mode passthrough -q:v 2 frames/video0/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="MSRVTT-QA",
        homepage="https://github.com/xudejing/video-question-answering",
        licence="MIT, clips under YouTube's terms",
        counts={"train": 158_581, "val": 12_278, "test": 72_821},
        counts_source="Xu et al., Video Question Answering via Gradually Refined Attention, 2017",
    )

    def _video_names(self) -> Callable[[object], str]:
        return "video{}".format
