"""VATEX (Wang et al., 2019): ten-second clips of Kinetics-600, ten English captions each.

    vatex_training_v1.0.json              [{"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": [...], "chCap": [...]}]
    vatex_validation_v1.0.json            the same
    vatex_public_test_english_v1.1.json   the same, without the Chinese
    frames/Ptf_2VRj-V0_000122_000132/000001.jpg   extracted by you

Source:
    https://eric-xw.github.io/vatex-website/download.html; big_vision transfers/vatex_cap.py, which counted 22315, 2584
    and 5135 clips that still existed in April 2024: 86 % each of these three files.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets_adapters.paths import existing_folder
from datasets_adapters.published.files import find_annotations, read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import open_split
from datasets_adapters.published.videos import sampled_frames, with_frames
from datasets_adapters.rows import RowPlace, read_texts
from finetune.settings import at_least
from finetune.types import DataCard, Sample, Source

_SPLITS = {
    "train": "vatex_training_v1.0.json",
    "val": "vatex_validation_v1.0.json",
    "test": "vatex_public_test_english_v1.1.json",
}


@dataclass(frozen=True, kw_only=True)
class VatexCap:
    """Clips of VATEX with their English captions, one row a clip.

    Args:
        root: Folder with vatex_training_v1.0.json, vatex_validation_v1.0.json and vatex_public_test_english_v1.1.json,
            from eric-xw.github.io/vatex-website/download.html (CC BY 4.0; clips: YouTube's terms), and frames/<id>/
            for each clip: ffmpeg -i <id>.mp4 -fps_mode passthrough -q:v 2 frames/<id>/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
        frame_stride: Of a clip's frames, take the first one and every so many after it.
        skip_missing_videos: Leave out clips that have no folder of frames: many can no longer be had.
    """

    card: ClassVar[DataCard] = DataCard(
        title="VATEX",
        homepage="https://eric-xw.github.io/vatex-website/download.html",
        licence="annotations CC BY 4.0, clips under YouTube's terms",
        counts={"train": 25_991, "val": 3_000, "test": 6_000},
        counts_source="https://eric-xw.github.io/vatex-website/download.html",
    )

    root: str
    train_split: str = "train"
    eval_split: str = "val"
    frame_stride: int = 1
    skip_missing_videos: bool = False

    def __post_init__(self) -> None:
        at_least("frame_stride", self.frame_stride, 1)

    def open(self, split: str) -> Source:
        """Open a split or a sum of slices.

        Raises:
            ValueError: If a file is missing or is another one, or the split is not known.
        """
        return open_split(split, _SPLITS, self._open_one)

    def _open_one(self, name: str) -> RowSource:
        root = existing_folder("dataset.root", Path(self.root))
        path = find_annotations(root, _SPLITS[name], self.card)
        rows: list[Row] = [{"video": row.get("videoID"), "captions": row.get("enCap")} for row in read_json_list(path)]
        rows = with_frames(rows, root) if self.skip_missing_videos else rows
        return pack_rows(rows, read=self._read, file=path.name, unit="video", id_key="video")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=sampled_frames(Path(self.root), place.sample_id, place, stride=self.frame_stride),
            captions=read_texts(row["captions"], "enCap", place),
        )
