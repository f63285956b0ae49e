import time
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


def _open(path: str | Path, split: str | None = "train", *, streaming: bool = False) -> OpenedSplit:
    return open_split(Whereabouts(setting="dataset.path", path=str(path)), split, streaming=streaming)


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


@pytest.mark.parametrize("kind", ["saved", "file"])
def test_rows_without_splits_are_the_training_split_and_no_other(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "saved":
        ROWS.save_to_disk(path)
    else:
        path = path.with_suffix(".parquet")
        ROWS.to_parquet(path)
    assert _open(path, "train").num_rows == 1
    with pytest.raises(ValueError, match=r"split .validation. of .* one split alone, .train.; give .*eval_path"):
        _open(path, "validation")


@pytest.mark.parametrize("streaming", [False, True])
def test_the_only_split_is_found_whatever_it_is_called(tmp_path: Path, streaming: bool) -> None:
    datasets.DatasetDict({"test": ROWS}).save_to_disk(tmp_path / "saved")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder" / "test.parquet", tmp_path / "rows.parquet"):
        ROWS.to_parquet(path)
    for path in ("saved", "folder", "rows.parquet"):
        assert len(list(_open(tmp_path / path, None, streaming=streaming).rows)) == 1
    ROWS.to_parquet(tmp_path / "folder" / "train.parquet")
    with pytest.raises(ValueError, match=r"folder cannot be read: it must hold one split alone, and has train, test"):
        _open(tmp_path / "folder", None)


def test_a_file_can_be_cut_into_slices(tmp_path: Path) -> None:
    datasets.concatenate_datasets([ROWS] * 10).to_parquet(tmp_path / "rows.parquet")
    assert _open(tmp_path / "rows.parquet", "train[:90%]").num_rows == 9
    assert _open(tmp_path / "rows.parquet", "train[90%:]").num_rows == 1


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"its suffix is none of \.parquet"):
        _open(tmp_path / "rows.csv")


def test_a_hub_that_cannot_be_reached_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.hub.hub_problem", lambda repository, *, kind: f"no way to {repository}, a {kind}")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    started = time.monotonic()
    with pytest.raises(ValueError, match=r"did not give split 'train' \(no way to nobody/nothing, a dataset\)"):
        _open("nobody/nothing")
    assert time.monotonic() - started < 5
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize("path", ["./nowhere", "/nowhere/at/all", "~nobody", "a b", "data/cells.parquet", "a.jsonl"])
def test_a_path_that_is_none_is_not_looked_for_on_the_hub(path: str) -> None:
    with pytest.raises(ValueError, match=r"dataset\.path: there is no file or folder"):
        _open(path)
