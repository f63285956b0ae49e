"""Drawings of molecules with their SMILES strings, as MolScribe (Qian et al., 2023) collects them.

    pubchem/train_1m.csv     SMILES                         drawn while MolScribe trains: no images are published
    synthetic/chemdraw.csv   image_id,file_path,SMILES      file_path is seen from the folder of all of them
    real/acs.csv             the same

Source:
    thomas0809/MolScribe, README.md (files), molscribe/dataset.py and evaluate.py (columns). The files themselves could
    not be read; further columns are passed over.
"""

from dataclasses import dataclass

from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.files import read_csv
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.rows import RowPlace, read_text
from finetune.published import DataCard
from finetune.types import Sample

_SPLITS = {
    "train": "pubchem/train_1m.csv",
    "chemdraw": "synthetic/chemdraw.csv",
    "indigo": "synthetic/indigo.csv",
    "CLEF": "real/CLEF.csv",
    "UOB": "real/UOB.csv",
    "USPTO": "real/USPTO.csv",
    "staker": "real/staker.csv",
    "acs": "real/acs.csv",
}


@dataclass(frozen=True, kw_only=True)
class Molecules(PublishedDataset):
    """Molecules as images, and their SMILES strings as text.

    Args:
        root: Folder with the folders synthetic and real of MolScribe's benchmarks, from github.com/thomas0809/MolScribe
            (MIT; molecules from PubChem and patents), and, to train, pubchem/train_1m.csv, to which you add a column
            file_path of drawings that you render yourself (epam.github.io/Indigo).
        train_split, eval_split: Of train, chemdraw, indigo, CLEF, UOB, USPTO, staker and acs, or slices and sums.
    """

    card = DataCard(
        title="MolScribe's molecules",
        homepage="https://github.com/thomas0809/MolScribe",
        licence="MIT; molecules from PubChem and patents",
        counts={"train": 1_000_000, "chemdraw": 5_719, "indigo": 5_719, "acs": 331},
        counts_source="Qian et al., MolScribe, 2023; PaliGemma 2 counts 5.7k in chemdraw, too",
    )
    splits = _SPLITS

    eval_split: str = "chemdraw"

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(_SPLITS[name])
        rows = (
            {"id": f"{name}/{index}", "image": row["file_path"], "smiles": row["SMILES"]}
            for index, row in enumerate(read_csv(path, ("file_path", "SMILES")))
        )
        return pack_rows(rows, read=self._read, file=path.name, unit="molecule", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        name = row["image"]
        return Sample(
            sample_id=place.sample_id,
            origin=place.origin,
            images=(self.image(name, "file_path", place),),
            text=read_text(row["smiles"], "SMILES", place),
        )
