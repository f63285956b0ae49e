"""What every published data set must give, and what it gets for it."""

import importlib
import pickle
import pkgutil
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from datasets_adapters import published
from datasets_adapters.published.base import PublishedDataset
from datasets_adapters.published.rows import Row, RowSource, pack_rows
from datasets_adapters.published.splits import split_names
from datasets_adapters.rows import RowPlace
from finetune.published import DataCard, Published
from finetune.types import BadSampleError, Dataset, Sample

PLACE = RowPlace(origin="train.json: question 7", sample_id="7")


def _all_below(cls: type[PublishedDataset]) -> list[type[PublishedDataset]]:
    return [one for child in cls.__subclasses__() for one in (child, *_all_below(child))]


for _module in pkgutil.iter_modules(published.__path__):
    importlib.import_module(f"{published.__name__}.{_module.name}")
# A base of several has no card; tests have data sets of their own.
DATASETS = [
    cls
    for cls in _all_below(PublishedDataset)
    if hasattr(cls, "card") and cls.__module__.startswith(published.__name__)
]
every_one = pytest.mark.parametrize("cls", DATASETS, ids=lambda cls: cls.__name__)


@dataclass(frozen=True, kw_only=True)
class Letters(PublishedDataset):
    """Lines of a text file.

    Args:
        root: Folder with letters_train.txt and letters_test.txt.
    """

    card = DataCard(title="Letters", homepage="https://example.org", licence="CC0", counts={}, counts_source="us")
    splits = ("train", "test")

    def _open_one(self, name: str) -> RowSource:
        path = self.annotations(f"letters_{name}.txt")
        rows = [{"id": line} for line in path.read_text().split()]
        return pack_rows(rows, read=self._read, file=path.name, unit="letter", id_key="id")

    def _read(self, row: Row, place: RowPlace) -> Sample:
        return Sample(sample_id=place.sample_id, origin=place.origin, images=(), text=row["id"])


@pytest.fixture
def letters(tmp_path: Path) -> Letters:
    (tmp_path / "letters_train.txt").write_text("a b c d")
    (tmp_path / "letters_test.txt").write_text("e")
    return Letters(root=str(tmp_path))


@every_one
def test_a_card_counts_splits_that_there_are(cls: type[PublishedDataset]) -> None:
    dataset = cls(root="given")
    assert isinstance(dataset, Dataset)
    assert isinstance(dataset, Published)
    assert {name for split in dataset.card.counts for name in split_names(split)} <= set(dataset.splits)


@every_one
def test_what_is_trained_and_evaluated_on_by_default_are_splits_that_there_are(cls: type[PublishedDataset]) -> None:
    dataset = cls(root="given")
    assert {*split_names(dataset.train_split), *split_names(dataset.eval_split)} <= set(dataset.splits)


@every_one
def test_where_a_root_is_to_be_had_stands_in_the_class_itself(cls: type[PublishedDataset]) -> None:
    assert "\n        root: " in str(vars(cls)["__doc__"])
    assert isinstance(vars(cls)["card"], DataCard)


@every_one
def test_a_missing_root_and_an_unknown_split_are_refused(cls: type[PublishedDataset], tmp_path: Path) -> None:
    dataset = cls(root=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"^dataset.root: there is no folder .*nowhere") as refusal:
        dataset.open(dataset.eval_split)
    card = dataset.card
    assert str(refusal.value).endswith(f"{card.title} is to be had from {card.homepage} ({card.licence})")
    with pytest.raises(ValueError, match="there is no split 'nonsense'"):
        dataset.open("nonsense")


@every_one
def test_a_data_set_goes_to_the_loaders_processes(cls: type[PublishedDataset]) -> None:
    dataset = cls(root="given")
    assert pickle.loads(pickle.dumps(dataset)) == dataset


@every_one
def test_what_is_no_setting_is_no_field(cls: type[PublishedDataset]) -> None:
    assert not {"card", "splits", "submission"} & {field.name for field in fields(cls)}


def test_there_are_data_sets_to_test() -> None:
    assert len(DATASETS) > 40


def test_a_new_one_opens_slices_and_sums_of_its_splits(letters: Letters) -> None:
    source = letters.open("train[2:]+test")
    assert [source[index].text for index in range(len(source))] == ["c", "d", "e"]


def test_a_missing_file_is_named_with_where_to_get_it(letters: Letters) -> None:
    (letters.folder / "letters_test.txt").unlink()
    with pytest.raises(ValueError, match=r"has no letters_test.txt .*Letters is to be had from .*\(CC0\)"):
        letters.open("test")


def test_an_image_is_found_below_the_root(letters: Letters) -> None:
    (letters.folder / "a").mkdir()
    (letters.folder / "a" / "b.jpg").write_bytes(b"")
    image = letters.image("a/b.jpg", "image", PLACE)
    assert (image.name, image.path) == ("a/b.jpg", letters.folder / "a" / "b.jpg")


@pytest.mark.parametrize(
    ("name", "code"),
    [("", "empty-path"), ("c.jpg", "missing-file"), ("../c.jpg", "path-escape"), ("a", "not-a-file")],
)
def test_an_image_elsewhere_is_refused(letters: Letters, name: str, code: str) -> None:
    (letters.folder / "a").mkdir()
    with pytest.raises(BadSampleError) as refusal:
        letters.image(name, "image", PLACE)
    assert (refusal.value.field_name, refusal.value.code) == ("image", code)


def test_one_that_cannot_open_a_split_is_our_mistake() -> None:
    with pytest.raises(NotImplementedError, match="PublishedDataset opens a split"):
        PublishedDataset(root="given").open("train")
