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

from datasets_adapters.published.files import read_json_list
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.videos import PublishedVideos
from datasets_adapters.rows import RowPlace, read_texts
from finetune.published import DataCard
from finetune.types import Sample

_SPLITS = {
    "train": "vatex_training_v1.0.json",
    "val": "vatex_validation_v1.0.json",
    "test": "vatex_public_test_english_v1.1.json",
}


@dataclass(frozen=True, kw_only=True)
class VatexCap(PublishedVideos):
    """Clips of VATEX with their English captions, one row a clip.

    Args:
        root: Folder with vatex_training_v1.0.json, vatex_validation_v1.0.json and vatex_public_test_english_v1.1.json,
            from eric-xw.github.io/vatex-website/download.html (CC BY 4.0; clips: YouTube's terms), and frames/<id>/
            for each clip: ffmpeg -i <id>.mp4 -fps_mode passthrough -q:v 2 frames/<id>/%06d.jpg
        train_split, eval_split: Of train, val and test, or slices and sums of them.
    """

    card = DataCard(
        title="VATEX",
        homepage="https://eric-xw.github.io/vatex-website/download.html",
        licence="annotations CC BY 4.0, clips under YouTube's terms",
        counts={"train": 25_991, "val": 3_000, "test": 6_000},
        counts_source="https://eric-xw.github.io/vatex-website/download.html",
    )
    splits = _SPLITS

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(_SPLITS[name])
        rows = [{"video": row.get("videoID"), "captions": row.get("enCap")} for row in read_json_list(path)]
        return pack_rows(self.shown(rows, path), read=self._read, file=path.name, unit="video", id_key="video")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=self.frames(place.sample_id, place),
            frame_stride=self.frame_stride,
            captions=read_texts(row["captions"], "enCap", place),
        )
