"""GrandStaff (Rios-Vila et al., 2023): systems of piano music, each an image and its **kern transcription.

    partitions/train.txt   beethoven/piano-sonatas/sonata01-1/min3_down_m-0-5.bekrn
    beethoven/piano-sonatas/sonata01-1/min3_down_m-0-5.jpg, …_distorted.jpg, ….krn

Source:
    https://sites.google.com/view/multiscore-project/datasets; antoniorv6/SMT, README.md and data.py. The
    partitions' lines are as users of the data set read them; the files themselves could not be read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_plain_text, read_utf8
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample

# Which of a transcription's files a partition names differs between releases; their stems are the same.
_SUFFIX = re.compile(r"\.(?:bekrn|ekrn|krn|jpg)$")
# Measures are numbered as in the whole piece, which an image of some of them does not show.
_MEASURE_NUMBER = re.compile(r"(?<==)\d+")


@dataclass(frozen=True, kw_only=True)
class GrandStaff(PublishedDataset):
    """Systems of piano music with their **kern transcriptions, measure numbers left out.

    Args:
        root: Folder with partitions/{train,val,test}.txt and the composers' folders of .jpg and .krn files, as unpacked
            from sites.google.com/view/multiscore-project/datasets (grandstaff.tgz; for research).
        train_split, eval_split: Of train, val and test, or slices and sums of them.
        distorted: Whether the images are the authors' distorted ones, as a camera would take them.
    """

    card = DataCard(
        title="GrandStaff",
        homepage="https://sites.google.com/view/multiscore-project/datasets",
        licence="for research",
        counts={"test": 7_661},
        counts_source="those who evaluated on partitions/test.txt; 53,882 in all, as its authors say",
    )

    distorted: bool = False

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"partitions/{name}.txt")
        lines = (line.strip() for line in read_plain_text(path).splitlines())
        rows = ({"stem": _SUFFIX.sub("", line)} for line in lines if line)
        return pack_rows(rows, read=self._read, file=path.name, unit="system", id_key="stem")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        stem = row["stem"]
        name = f"{stem}_distorted.jpg" if self.distorted else f"{stem}.jpg"
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "image", place),),
            text=_transcription(self.file(f"{stem}.krn", "transcription", place), place),
        )


def _transcription(path: Path, place: RowPlace) -> str:
    text = read_utf8(path, "transcription", place)
    return _MEASURE_NUMBER.sub("", read_text(text, "transcription", place)).strip("\n ")
