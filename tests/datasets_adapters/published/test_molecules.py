"""Molecules, on drawings made up for this test, in MolScribe's format."""

import shutil
from pathlib import Path

import pytest

from datasets_adapters.published.molecules import Molecules
from finetune.types import BadSampleError

ASSET = Path(__file__).parents[2] / "assets" / "published" / "molecules"


def test_a_row_is_a_drawing_and_its_smiles() -> None:
    sample = Molecules(root=str(ASSET)).open("chemdraw")[0]
    assert (sample.sample_id, sample.text) == ("chemdraw/0", "CC(=O)O")
    assert sample.images[0].name == "synthetic/chemdraw/US01.png"


def test_splits_add_up_and_columns_that_nobody_reads_are_passed_over() -> None:
    source = Molecules(root=str(ASSET)).open("train+chemdraw")
    texts = [source[index].text for index in range(len(source))]
    assert texts == ["CCO", "c1ccccc1", "CC(C)O", "CC(=O)O", "C[C@H](N)C(=O)O"]


def test_a_row_without_smiles_is_refused_by_file_and_id(tmp_path: Path) -> None:
    shutil.copytree(ASSET, tmp_path / "copy")
    path = tmp_path / "copy" / "synthetic" / "chemdraw.csv"
    path.write_text(path.read_text().replace("CC(=O)O\n", "\n", 1))
    with pytest.raises(BadSampleError, match=r"chemdraw.csv: molecule chemdraw/0: SMILES: must not be empty"):
        Molecules(root=str(tmp_path / "copy")).open("chemdraw")[0]


def test_a_missing_file_column_and_split_say_what_to_do(tmp_path: Path) -> None:
    dataset = Molecules(root=str(tmp_path))
    with pytest.raises(ValueError, match=r"has no synthetic/chemdraw.csv.*github.com/thomas0809/MolScribe"):
        dataset.open("chemdraw")
    (tmp_path / "pubchem").mkdir()
    (tmp_path / "pubchem" / "train_1m.csv").write_text("SMILES\nCCO\n")
    with pytest.raises(ValueError, match="has no column file_path; it has SMILES"):
        dataset.open("train")
    with pytest.raises(ValueError, match="there is no split 'JPO'"):
        dataset.open("JPO")
