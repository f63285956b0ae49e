from pathlib import Path

import pytest

from datasets_adapters.hf_open import OpenedSplit, Whereabouts, open_split

datasets = pytest.importorskip("datasets")

ROWS = datasets.Dataset.from_dict({"kind": [0], "things": [[{"label": 1}]]}).cast(
    datasets.Features(
        {
            "kind": datasets.ClassLabel(names=["cat", "dog"]),
            "things": [{"label": datasets.ClassLabel(names=["ant", "bee"])}],
        }
    )
)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def _open(path: str | Path, split: str = "train", *, streaming: bool = False) -> OpenedSplit:
    return open_split(Whereabouts(path=str(path), config_name=None, revision=None), split, streaming=streaming)


def test_class_names_are_found_in_columns_and_in_objects(tmp_path: Path) -> None:
    ROWS.save_to_disk(tmp_path / "saved")
    opened = _open(tmp_path / "saved")
    assert opened.class_names("kind", "label") == ("cat", "dog")
    assert opened.class_names("things", "label") == ("ant", "bee")
    assert opened.class_names("things", "other") == ()
    assert (opened.num_rows, opened.folder) == (1, tmp_path / "saved")


def test_a_streamed_file_may_not_know_its_length(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    opened = _open(tmp_path / "rows.jsonl", streaming=True)
    assert opened.num_rows is None
    assert set(opened.features) == {"a"}


@pytest.mark.parametrize("kind", ["saved", "folder"])
def test_an_unknown_split_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "saved":
        datasets.DatasetDict({"train": ROWS}).save_to_disk(path)
    else:
        path.mkdir()
        ROWS.to_parquet(path / "train-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"split 'trian' of .* cannot be read: .*train"):
        _open(path, "trian")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"its suffix is none of \.parquet"):
        _open(tmp_path / "rows.csv")


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "~nobody", "a b"])
def test_a_path_that_is_none_is_not_looked_for_on_the_hub(path: str) -> None:
    with pytest.raises(ValueError, match=r"dataset\.path: there is no"):
        _open(path)
