"""Finding a data set for the `datasets` library: which of its readers a path calls for, and what it found."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datasets_adapters.hf_stored import StoredRows

# Hub names: one part, or owner and name.
_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_SUFFIXES = {".parquet": "parquet", ".json": "json", ".jsonl": "json"}
_SUFFIXES_OF_FILES = (*_SUFFIXES, ".arrow", ".csv")
# What `datasets` calls the rows of a file that names no split.
_ONLY_SPLIT = "train"


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A folder, a file, or a name on the hub with the configuration and revision wanted there.

    Args:
        setting: Which setting gives the path, for messages.
    """

    setting: str
    path: str
    config_name: str | None = None
    revision: str | None = None

    @property
    def local(self) -> Path:
        """The path on this machine, where there may be nothing."""
        return Path(self.path).expanduser()

    @property
    def may_be_on_the_hub(self) -> bool:
        """Whether the path could be a name there, and is not meant as a file."""
        is_name = _HUB_NAME.fullmatch(self.path) is not None and not self.path.startswith(".")
        return is_name and not self.path.endswith(_SUFFIXES_OF_FILES)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSplit:
    """One split of a data set, images undecoded.

    Args:
        rows: `StoredRows`, or a `datasets.IterableDataset` when streaming.
        features: The columns with their types.
        num_rows: None where a stream does not say.
        folder: Where image files named by rows must lie; None for the hub.
    """

    rows: Any
    features: Mapping[str, Any]
    num_rows: int | None
    folder: Path | None

    def class_names(self, column: str, label_key: str) -> tuple[str, ...]:
        """Return the names behind class numbers in a column or in its objects' `label_key`; () where there are none."""
        feature = _element(self.features[column])
        if isinstance(feature, Mapping):
            feature = _element(feature.get(label_key))
        return tuple(getattr(feature, "names", ()) or ())


def open_split(where: Whereabouts, split: str | None, *, streaming: bool) -> OpenedSplit:
    """Open one split for reading.

    Args:
        split: None: the only one of a file or folder on this machine, whatever it is called.

    Raises:
        ValueError: If the path, the split or the hub's data set is missing or cannot be read.
    """
    import datasets

    from finetune.hub import TransportError

    path = where.local
    if not path.exists() and (split is None or not where.may_be_on_the_hub):
        raise ValueError(f"{where.setting}: there is no file or folder {path} (seen from {Path.cwd()})")
    if path.exists() and (where.config_name or where.revision):
        raise ValueError(f"dataset.config_name and dataset.revision are for the hub, but {path} is on this machine")
    try:
        rows = _load(where, split, streaming=streaming)
    except (TransportError, OSError, ValueError) as error:
        raise ValueError(_explain(where, split, error)) from error
    if streaming:
        features = rows.features or dict.fromkeys(next(iter(rows), {}))
        for column in rows.features or ():
            rows = rows.cast_column(column, _undecoded(features[column]))
        return OpenedSplit(rows=rows, features=features, num_rows=_num_rows(rows), folder=_folder(path))
    features = datasets.Features({column: _undecoded(feature) for column, feature in rows.features.items()})
    stored = StoredRows(rows=rows, features=features)
    return OpenedSplit(rows=stored, features=features, num_rows=len(stored), folder=_folder(path))


def _load(where: Whereabouts, split: str | None, *, streaming: bool) -> Any:
    path = where.local
    if not path.exists():
        return _load_from_hub(where, split, streaming=streaming)
    if path.is_file():
        return _load_file(path, split, streaming=streaming)
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _load_saved(path, split, streaming=streaming)
    return _load_folder(path, split, streaming=streaming)


def _load_file(path: Path, split: str | None, *, streaming: bool) -> Any:
    import datasets

    if path.suffix not in _SUFFIXES:
        raise ValueError(f"its suffix is none of {', '.join(_SUFFIXES)}")
    _check_only_split(split)
    return datasets.load_dataset(
        _SUFFIXES[path.suffix], data_files=str(path), split=split or _ONLY_SPLIT, streaming=streaming
    )


def _load_folder(path: Path, split: str | None, *, streaming: bool) -> Any:
    import datasets

    builder = "parquet" if any(path.rglob("*.parquet")) else "imagefolder"
    found = datasets.load_dataset(builder, data_dir=str(path), split=split, streaming=streaming)
    return _only_split_of(found) if split is None else found


def _load_from_hub(where: Whereabouts, split: str | None, *, streaming: bool) -> Any:
    """Load from the hub, or from the cache where the hub does not answer."""
    import datasets

    from finetune.hub import hub_problem

    def load() -> Any:
        return datasets.load_dataset(
            where.path, where.config_name, revision=where.revision, split=split, streaming=streaming
        )

    problem = hub_problem(where.path, kind="dataset")
    if problem is None:
        return load()
    with _offline():
        try:
            return load()
        except ConnectionError as error:
            raise ConnectionError(problem) from error


@contextmanager
def _offline() -> Iterator[None]:
    """Keep `datasets` from asking the hub: it takes no such argument, only this setting."""
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _load_saved(path: Path, split: str | None, *, streaming: bool) -> Any:
    import datasets

    saved = datasets.load_from_disk(str(path))
    if not isinstance(saved, datasets.DatasetDict):
        _check_only_split(split)
    elif split is None:
        saved = _only_split_of(saved)
    elif split in saved:
        saved = saved[split]
    else:
        raise ValueError(f"it has the splits {', '.join(saved)}")
    return saved.to_iterable_dataset() if streaming else saved


def _check_only_split(split: str | None) -> None:
    """Refuse rows of one split as any other: a run would be evaluated on what it was trained on."""
    if split is not None and split.partition("[")[0] != _ONLY_SPLIT:
        raise ValueError(
            f"it holds one split alone, {_ONLY_SPLIT!r}; give the file or folder of the evaluation split as "
            "dataset.eval_path"
        )


def _only_split_of(splits: Mapping[str, Any]) -> Any:
    if len(splits) > 1:
        raise ValueError(f"it must hold one split alone, and has {', '.join(splits)}")
    return next(iter(splits.values()))


def _num_rows(rows: Any) -> int | None:
    """Return what a stream says of its length."""
    found = (rows.info.splits or {}).get(str(rows.split))
    return found.num_examples or None if found else None


def _folder(path: Path) -> Path | None:
    if not path.exists():
        return None
    return path if path.is_dir() else path.parent


def _undecoded(feature: Any) -> Any:
    """Return a column's type with its images left as they are encoded, however deep they lie."""
    import datasets

    if isinstance(feature, datasets.Image):
        return datasets.Image(decode=False)
    if isinstance(feature, Mapping):
        return {name: _undecoded(part) for name, part in feature.items()}
    if isinstance(feature, datasets.List | datasets.LargeList):
        return replace(feature, feature=_undecoded(feature.feature))
    return feature


def _element(feature: Any) -> Any:
    """Return what a list holds, however deep; anything else as it is."""
    while not isinstance(feature, Mapping) and hasattr(feature, "feature"):
        feature = feature.feature
    return feature


def _explain(where: Whereabouts, split: str | None, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0]
    if where.local.exists():
        part = "" if split is None else f"split {split!r} of "
        return f"{where.setting}: {part}{where.local} cannot be read: {reason}"
    return (
        f"{where.setting}: {where.path!r} is not on this machine, and the hub did not give split {split!r} ({reason}); "
        "check the name, run `hf auth login` if it is gated, or download it and give the folder"
    )
