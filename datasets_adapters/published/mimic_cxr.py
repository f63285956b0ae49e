"""MIMIC-CXR (Johnson et al., 2019): chest radiographs with the reports that radiologists wrote.

    mimic-cxr-2.0.0-split.csv                         dicom_id,study_id,subject_id,split
    files/p10/p10000001/s50000001.txt                 a study's report
    files/p10/p10000001/s50000001/aaaaaaaa-0001.jpg   an image of the study

A row is an image with the report of its study, of which the sections FINDINGS and IMPRESSION are kept; what stands
under INDICATION, for which the radiologist was asked, is the prefix.

Source:
    https://physionet.org/content/mimic-cxr-jpg and mimic-cxr, as those who describe the files have it: they are shown
    to credentialed users alone, and could not be read.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_csv, read_utf8
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample

_COLUMNS = ("dicom_id", "study_id", "subject_id", "split")
# A heading stands at the start of a line, in capitals.
_HEADING = re.compile(r"^[ \t]*([A-Z][A-Z ()/&-]*):", re.MULTILINE)
_INDICATIONS = ("INDICATION", "INDICATIONS", "HISTORY", "CLINICAL HISTORY", "REASON FOR EXAM", "REASON FOR EXAMINATION")
_KEPT = ("FINDINGS", "IMPRESSION")


@dataclass(frozen=True, kw_only=True)
class MimicCxr(PublishedDataset):
    """Radiographs of MIMIC-CXR with their reports as captions; the indication is the prefix.

    Args:
        root: Folder with mimic-cxr-2.0.0-split.csv and the images under files/ of MIMIC-CXR-JPG, and the reports of
            mimic-cxr-reports.zip in the same folders, all unpacked, from physionet.org/content/mimic-cxr-jpg and
            physionet.org/content/mimic-cxr (for credentialed users who signed PhysioNet's agreement).
        train_split, eval_split: Of train, validate and test, or slices and sums of them.
    """

    card = DataCard(
        title="MIMIC-CXR",
        homepage="https://physionet.org/content/mimic-cxr-jpg/",
        licence="PhysioNet Credentialed Health Data License 1.5.0",
        counts={"train": 368_960, "validate": 2_991, "test": 5_159},
        counts_source="Johnson et al., MIMIC-CXR-JPG, 2019: images of mimic-cxr-2.0.0-split.csv",
    )
    splits = ("train", "validate", "test")

    eval_split: str = "validate"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations("mimic-cxr-2.0.0-split.csv")
        rows = (row for row in read_csv(path, _COLUMNS) if row["split"] == name)
        packed = ({"dicom_id": row["dicom_id"], "study": _study(row)} for row in rows)
        return pack_rows(packed, read=self._read, file=path.name, unit="image", id_key="dicom_id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        image = self.image(f"{row['study']}/{place.sample_id}.jpg", "dicom_id", place)
        sections = _sections(self.file(f"{row['study']}.txt", "study_id", place), place)
        report = " ".join(f"{heading}: {sections[heading]}" for heading in _KEPT if heading in sections)
        if not report:
            place.refuse("report", "no-findings", "has neither FINDINGS nor IMPRESSION: leave the study out")
        indication = next((sections[heading] for heading in _INDICATIONS if heading in sections), "N/A")
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(image,),
            prefix=read_text(f"INDICATION: {indication}", "report", place),
            captions=(read_text(report, "report", place),),
        )


def _study(row: Row) -> str:
    """Return the folder of a study; its report has the same name."""
    subject = row["subject_id"]
    return f"files/p{subject[:2]}/p{subject}/s{row['study_id']}"


def _sections(path: Path, place: RowPlace) -> dict[str, str]:
    """Return what stands under each heading, on one line; headings with nothing under them are left out."""
    text = read_utf8(path, "report", place)
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    found = {
        heading[1].strip(): " ".join(text[heading.end() : end].split())
        for heading, end in zip(headings, ends, strict=False)
    }
    return {heading: content for heading, content in found.items() if content}
