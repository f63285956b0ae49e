"""Finding a data set for the `datasets` library: which of its readers a path calls for, and what it found."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Hub names: one part, or owner and name.
_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_SUFFIXES = {".parquet": "parquet", ".json": "json", ".jsonl": "json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A folder, a file, or a name on the hub with the configuration and revision wanted there."""

    path: str
    config_name: str | None
    revision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSplit:
    """One split of a data set, images undecoded.

    Args:
        rows: A `datasets.Dataset`, or a `datasets.IterableDataset` when streaming.
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


def open_split(where: Whereabouts, split: str, *, streaming: bool) -> OpenedSplit:
    """Open one split for reading.

    Raises:
        ValueError: If the path, the split or the hub's data set is missing or cannot be read.
    """
    import datasets

    path = Path(where.path).expanduser()
    if not path.exists() and (not _HUB_NAME.fullmatch(where.path) or where.path.startswith(".")):
        raise ValueError(f"dataset.path: there is no {path} (seen from {Path.cwd()})")
    if path.exists() and (where.config_name or where.revision):
        raise ValueError(f"dataset.config_name and dataset.revision are for the hub, but {path} is on this machine")
    try:
        rows = _load(where, path, split, streaming=streaming)
    except (OSError, ValueError) as error:
        raise ValueError(_explain(where, path, split, error)) from error
    features = rows.features or dict.fromkeys(next(iter(rows), {}))
    for column, feature in features.items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(column, datasets.Image(decode=False))
    return OpenedSplit(rows=rows, features=features, num_rows=_num_rows(rows, split), folder=_folder(path))


def _load(where: Whereabouts, path: Path, split: str, *, streaming: bool) -> Any:
    import datasets

    if not path.exists():
        return datasets.load_dataset(
            where.path, where.config_name, revision=where.revision, split=split, streaming=streaming
        )
    if path.is_file():
        if path.suffix not in _SUFFIXES:
            raise ValueError(f"its suffix is none of {', '.join(_SUFFIXES)}")
        return datasets.load_dataset(
            _SUFFIXES[path.suffix], data_files={split: str(path)}, split=split, streaming=streaming
        )
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _load_saved(path, split, streaming=streaming)
    builder = "parquet" if any(path.rglob("*.parquet")) else "imagefolder"
    return datasets.load_dataset(builder, data_dir=str(path), split=split, streaming=streaming)


def _load_saved(path: Path, split: str, *, streaming: bool) -> Any:
    import datasets

    saved = datasets.load_from_disk(str(path))
    if isinstance(saved, datasets.DatasetDict):
        if split not in saved:
            raise ValueError(f"it has the splits {', '.join(saved)}")
        saved = saved[split]
    return saved.to_iterable_dataset() if streaming else saved


def _num_rows(rows: Any, split: str) -> int | None:
    if hasattr(rows, "__len__"):
        return len(rows)
    found = (rows.info.splits or {}).get(split)
    return found.num_examples or None if found else None


def _folder(path: Path) -> Path | None:
    if not path.exists():
        return None
    return path if path.is_dir() else path.parent


def _element(feature: Any) -> Any:
    """Return what a list holds, however deep; anything else as it is."""
    while not isinstance(feature, Mapping) and hasattr(feature, "feature"):
        feature = feature.feature
    return feature


def _explain(where: Whereabouts, path: Path, split: str, error: Exception) -> str:
    reason = str(error).strip().split("\n")[0]
    if path.exists():
        return f"dataset.path: split {split!r} of {path} cannot be read: {reason}"
    return (
        f"dataset.path: {where.path!r} is not on this machine, and the hub did not give split {split!r} ({reason}); "
        "check the name, run `hf auth login` if it is gated, or download it and give the folder"
    )
