"""MSVD-QA (Xu et al., 2017): questions about the clips of MSVD (Chen & Dolan, 2011), one word each to answer.

    train_qa.json         [{"id": 0, "video_id": 1, "question": "what is playing?", "answer": "dog"}]
    youtube_mapping.txt   -4wsuPCjDBc_5_15 vid1
    frames/-4wsuPCjDBc_5_15/000001.jpg   extracted by you; folders are named as the clips' files are

Source:
    As `generated_qa`; big_vision transfers/msvd_qa.py, which counted 24670, 5107 and 10136 questions whose clips still
    existed in April 2024.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.published.files import read_plain_text
from datasets_adapters.published.generated_qa import GeneratedQa
from finetune.published import DataCard

_MAPPING = "youtube_mapping.txt"


@dataclass(frozen=True, kw_only=True)
class MsvdQa(GeneratedQa):
    """Questions and answers of MSVD-QA.

    Args:
        root: Folder with train_qa.json, val_qa.json, test_qa.json and youtube_mapping.txt, from
            github.com/xudejing/video-question-answering (the clips: YouTubeClips.tar of
            cs.utexas.edu/users/ml/clamp/videoDescription, for research), and frames/<clip>/ for each:
            ffmpeg -i <clip>.avi -fps_mode passthrough -q:v 2 frames/<clip>/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="MSVD-QA",
        homepage="https://github.com/xudejing/video-question-answering",
        licence="MIT, clips under YouTube's terms",
        counts={"train": 30_933, "val": 6_415, "test": 13_157},
        counts_source="Xu et al., Video Question Answering via Gradually Refined Attention, 2017",
    )

    def _video_names(self) -> Callable[[object], str]:
        clips = _clip_names(self.annotations(_MAPPING))
        # A number without a name is refused when the question is drawn: no such folder will be there.
        return lambda number: clips.get(f"vid{number}", f"vid{number}")


def _clip_names(path: Path) -> dict[str, str]:
    """Return the clips' names by the numbers that stand for them, such as "vid1".

    Raises:
        ValueError: If a line is not a name and a number.
    """
    pairs = [line.split() for line in read_plain_text(path).splitlines() if line.strip()]
    for line_number, pair in enumerate(pairs, start=1):
        if len(pair) != 2:
            raise ValueError(f"{path}:{line_number} must be a clip's name and its number, such as 'abc_5_15 vid1'")
    return {number: name for name, number in pairs}
