"""Hugging Face `datasets`: a saved folder, an image folder, parquet or JSON files, or a data set of the hub.

`columns` says which column holds what, as in columns.question=query columns.answers=label.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.hf_open import OpenedSplit, Whereabouts, open_split
from datasets_adapters.hf_rows import ColumnReader
from datasets_adapters.hf_stream import StreamedRows
from finetune.names import hint
from finetune.settings import at_least
from finetune.types import Sample


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column holds what; null where none does.

    Args:
        answers: Text, a list of texts, or VQAv2's list of {"answer": ...}.
        objects: A dict of lists, or a list of dicts.
    """

    id: str | None = None
    image: str = "image"
    width: str | None = None
    height: str | None = None
    captions: str | None = None
    question: str | None = None
    answers: str | None = None
    text: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    objects: str | None = None

    def given(self) -> dict[str, str]:
        """Return the columns that there are, by what they hold."""
        return {name: column for name, column in asdict(self).items() if column is not None}


@dataclass(frozen=True, kw_only=True)
class HuggingFace:
    """A data set that the `datasets` library reads.

    Args:
        path: A folder, a file, or the data set's name on the hub.
        eval_path: File or folder of the evaluation split, where `path` holds one split only; null: `path` has both.
        config_name: Which configuration of a hub data set; null: its default.
        revision: Branch, tag or commit of a hub data set; null: the newest.
        train_split, eval_split: Names of the splits, or slices that `datasets` understands, such as "train[:90%]".
        columns: Which column holds what.
        box_key, label_key: Where objects keep their boxes and labels.
        box_format: Order and unit of the boxes; needed for objects.
        labels: Every label, in the order of detection prefixes; empty: the names of the column's ClassLabel.
        bad_boxes: refuse a row with a box that leaves the image or is empty, or repair (clip, drop).
        streaming: Read rows in order instead of indexing them: nothing is converted or downloaded beforehand.
        block_size: How many consecutive rows a streaming source keeps; training shuffles inside them.
        num_train, num_eval: Rows of the two splits; needed for streaming where the data set does not say.
    """

    path: str
    eval_path: str | None = None
    config_name: str | None = None
    revision: str | None = None
    train_split: str = "train"
    eval_split: str = "validation"
    columns: Columns = field(default_factory=Columns)
    box_key: str = "bbox"
    label_key: str = "category"
    box_format: BoxFormat | None = None
    labels: list[str] = field(default_factory=list)
    bad_boxes: BadBoxes = BadBoxes.refuse
    streaming: bool = False
    block_size: int = 1024
    num_train: int | None = None
    num_eval: int | None = None

    def __post_init__(self) -> None:
        if self.eval_path is not None and (self.eval_path == self.path or self.eval_split == self.train_split):
            raise ValueError(
                "eval_path and eval_split must differ from path and train_split, got "
                f"{self.eval_path!r} and {self.eval_split!r}"
            )
        at_least("block_size", self.block_size, 1)
        for name in ("num_train", "num_eval"):
            if getattr(self, name) is not None:
                at_least(name, getattr(self, name), 1)
        if self.columns.objects is not None and self.box_format is None:
            known = ", ".join(member.name for member in BoxFormat)
            raise ValueError(f"box_format must be given with columns.objects, one of {known}")

    def open(self, split: str) -> "HuggingFaceSource":
        """Open one split.

        Raises:
            ValueError: If it cannot be found or read, a column is missing, or its number of rows is not known.
        """
        opened = self._open_rows(split)
        for key, column in self.columns.given().items():
            if column not in opened.features:
                known = hint(column, opened.features)
                raise ValueError(f"dataset.columns.{key}: split {split!r} has no column {column!r}; {known}")
        class_names = self._class_names(opened)
        reader = ColumnReader(
            place=f"{self._path_of(split)}[{split}]",
            folder=opened.folder,
            columns=self.columns.given(),
            class_names=class_names,
            label_set=self._label_set(class_names),
            box_key=self.box_key,
            label_key=self.label_key,
            box_format=self.box_format,
            bad_boxes=self.bad_boxes,
        )
        return HuggingFaceSource(rows=self._rows(opened, split), reader=reader)

    def _path_of(self, split: str) -> str:
        return self.eval_path if self.eval_path is not None and split == self.eval_split else self.path

    def _open_rows(self, split: str) -> OpenedSplit:
        if self._path_of(split) == self.eval_path:
            where = Whereabouts(setting="dataset.eval_path", path=self.eval_path)
            return open_split(where, None, streaming=self.streaming)
        where = Whereabouts(
            setting="dataset.path", path=self.path, config_name=self.config_name, revision=self.revision
        )
        return open_split(where, split, streaming=self.streaming)

    def _class_names(self, opened: OpenedSplit) -> dict[str, tuple[str, ...]]:
        """Return the names of each mapped column whose values are class numbers."""
        names = {key: opened.class_names(column, self.label_key) for key, column in self.columns.given().items()}
        return {key: found for key, found in names.items() if found}

    def _label_set(self, class_names: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        if self.columns.objects is None:
            return ()
        label_set = tuple(self.labels) or class_names.get("objects", ())
        if not label_set:
            raise ValueError("dataset.labels must list every label: the objects' column does not name its classes")
        return label_set

    def _rows(self, opened: OpenedSplit, split: str) -> "Rows":
        if not self.streaming:
            if self.columns.id is not None:
                _check_ids(opened.rows[self.columns.id])
            rows: Rows = opened.rows
            return rows
        setting = {self.train_split: "num_train", self.eval_split: "num_eval"}.get(split)
        declared = getattr(self, setting) if setting else None
        num_rows = declared or opened.num_rows
        if num_rows is None:
            needed = f"dataset.{setting}" if setting else "dataset.streaming=false"
            raise ValueError(f"{needed} must be given: {self._path_of(split)} does not say how many rows {split!r} has")
        return StreamedRows(rows=opened.rows, num_rows=num_rows, block_size=self.block_size)


@runtime_checkable
class Rows(Protocol):
    """Rows by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HuggingFaceSource:
    """The rows of one split."""

    rows: Rows
    reader: ColumnReader

    @property
    def block_size(self) -> int | None:
        """How many consecutive rows are kept when streaming; None for random access."""
        return self.rows.block_size if isinstance(self.rows, StreamedRows) else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        """Read one row.

        Raises:
            BadSampleError: If the row breaks a rule.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"{self.reader.place} has {len(self)} rows, got index {index}")
        return self.reader.read(self.rows[index], index)


def _check_ids(ids: Iterable[object]) -> None:
    seen: set[object] = set()
    for row, identifier in enumerate(ids):
        if identifier in seen:
            raise ValueError(f"dataset.columns.id: {identifier!r} stands on row {row} and before it: ids must differ")
        seen.add(identifier)
