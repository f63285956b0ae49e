"""What ICDAR 2015 and Total-Text have in common, on words made up for this test."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from datasets_adapters.published.word_files import WordFiles, WordFolders
from datasets_adapters.rows import RowPlace
from finetune.geometry import Box
from finetune.published import DataCard
from finetune.types import BadSampleError, Instance

WHOLE = Box(top=0.0, left=0.0, bottom=1.0, right=1.0)


@dataclass(frozen=True, kw_only=True)
class Signs(WordFiles):
    """Words over whole photographs."""

    card = DataCard(title="Signs", homepage="https://example.org", licence="CC0", counts={}, counts_source="us")

    def _folders(self, name: str) -> WordFolders:
        return WordFolders(images=name, words=(f"{name}_words", "words"), prefix="gt_", archive="signs.zip")

    def _words(self, path: Path, image_size: tuple[int, int], place: RowPlace) -> Iterator[Instance | None]:
        for word in path.read_text().split():
            if not word.isalpha():
                place.refuse("words", "wrong-type", "must be letters")
            yield None if word == "outside" else Instance(label=word, box=WHOLE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("test", "words"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (6, 4)).save(tmp_path / "test" / "2.png")
    (tmp_path / "words" / "gt_2.txt").write_text("WAY outside OUT")
    return tmp_path


def test_a_photograph_is_joined_with_its_file_of_words(root: Path) -> None:
    sample = Signs(root=str(root)).open("test")[0]
    assert (sample.sample_id, sample.origin) == ("test/2", "test: image test/2")
    assert sample.image_size == (4, 6)
    assert [word.label for word in sample.instances or ()] == ["WAY", "OUT"]


def test_the_first_folder_of_words_that_is_there_is_taken(root: Path) -> None:
    (root / "test_words").mkdir()
    (root / "test_words" / "gt_2.txt").write_text("FIRST")
    (word,) = Signs(root=str(root)).open("test")[0].instances or ()
    assert word.label == "FIRST"


def test_a_photograph_without_words_is_refused_and_no_other(root: Path) -> None:
    Image.new("RGB", (6, 4)).save(root / "test" / "3.png")
    source = Signs(root=str(root)).open("test")
    assert source[0].sample_id == "test/2"
    with pytest.raises(BadSampleError, match=r"test: image test/3: words: there is no 'words/gt_3.txt'"):
        source[1]


def test_a_broken_word_is_refused_by_its_own_file(root: Path) -> None:
    (root / "words" / "gt_2.txt").write_text("WAY 7")
    with pytest.raises(BadSampleError, match=r"^words/gt_2.txt: image test/2: words: must be letters"):
        Signs(root=str(root)).open("test")[0]


def test_folders_without_photographs_name_what_to_unpack(root: Path) -> None:
    (root / "train").mkdir()
    with pytest.raises(ValueError, match=r"dataset.root: .*train has no image; unpack signs.zip"):
        Signs(root=str(root)).open("train")


@pytest.mark.parametrize("missing", ["test", "words"])
def test_a_missing_folder_is_named(root: Path, missing: str) -> None:
    (root / missing).rename(root / "elsewhere")
    with pytest.raises(ValueError, match=rf"dataset.root: there is no folder .*{missing} .*Signs is to be had from"):
        Signs(root=str(root)).open("test")
