"""Hugging Face `datasets`: a saved folder, an image folder, parquet or JSON files, or a data set of the hub.

`columns` says which column holds what, as in columns.question=query columns.answers=label. Masks stand in the dicts of
objects (mask_key), in a column of their own (columns.masks), or in a map of classes (columns.label_map).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.hf_objects import ObjectReader
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
        image: An image, or a list of them, which are shown in their order; objects refer to the first one.
        answers: Text, a list of texts, or VQAv2's list of {"answer": ...}.
        objects: A dict of lists, or a list of dicts.
        masks: A mask as PNG, everything but 0 inside, or a list of them: one for each object of `objects`, or objects
            of their own, where a mask without a pixel is none.
        mask_labels: The label of each of `masks`; null: all have the only one of dataset.labels.
        label_map: A PNG in which the pixels of the n-th label are n; 0 and 255 belong to none.
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
    masks: str | None = None
    mask_labels: str | None = None
    label_map: str | None = None

    def __post_init__(self) -> None:
        if self.label_map is not None and (self.objects is not None or self.masks is not None):
            raise ValueError("label_map makes objects of its own: leave out objects and masks")
        if self.mask_labels is not None and (self.masks is None or self.objects is not None):
            raise ValueError("mask_labels needs masks, and no objects, which have labels themselves")

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
        box_key, label_key: Where objects keep their boxes and labels; box_key=null: boxes are those of the masks.
        mask_key: Where objects keep their masks: polygons, run lengths, or a PNG as in columns.masks; null: nowhere.
        expressions_key: Where objects keep what they are called in words: text or a list of texts; null: nowhere.
        box_format: Order and unit of the boxes; needed for objects with boxes.
        labels: Every label, in the order of detection prefixes; empty: the names of the column's ClassLabel. For a
            label map, in the order of its numbers from 1.
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
    box_key: str | None = "bbox"
    label_key: str = "category"
    mask_key: str | None = None
    expressions_key: str | None = None
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
        self._check_objects()

    def _check_objects(self) -> None:
        columns = self.columns
        if columns.objects is None:
            if self.mask_key is not None or self.expressions_key is not None:
                raise ValueError("mask_key and expressions_key need columns.objects, whose dicts have the keys")
            if columns.masks is not None and columns.mask_labels is None and len(self.labels) != 1:
                raise ValueError(
                    "labels must be the one label of all masks, or columns.mask_labels name the column with the label "
                    f"of each, got labels={self.labels}"
                )
            return
        if self.mask_key is not None and columns.masks is not None:
            raise ValueError("mask_key and columns.masks are two places of the same masks: give one")
        if self.box_key is None and self.mask_key is None and columns.masks is None:
            raise ValueError("box_key=null needs masks, mask_key or columns.masks: nothing says where objects are")
        if self.box_key is not None and self.box_format is None:
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
            objects=self._object_reader(class_names, opened.folder),
        )
        return HuggingFaceSource(rows=self._rows(opened, split), reader=reader)

    def _object_reader(self, class_names: Mapping[str, tuple[str, ...]], folder: Path | None) -> ObjectReader:
        names = class_names.get("objects" if self.columns.objects is not None else "mask_labels", ())
        return ObjectReader(
            folder=folder,
            label_set=self._label_set(names),
            class_names=names,
            box_key=self.box_key,
            label_key=self.label_key,
            mask_key=self.mask_key,
            expressions_key=self.expressions_key,
            box_format=self.box_format,
            bad_boxes=self.bad_boxes,
        )

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

    def _label_set(self, class_names: tuple[str, ...]) -> tuple[str, ...]:
        columns = self.columns
        if columns.objects is None and columns.masks is None and columns.label_map is None:
            return ()
        label_set = tuple(self.labels) or class_names
        if not label_set:
            raise ValueError("dataset.labels must list every label: no column of objects names its classes")
        return label_set

    def _rows(self, opened: OpenedSplit, split: str) -> "Rows":
        if not self.streaming:
            if self.columns.id is not None:
                _check_ids(opened.rows.column(self.columns.id))
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
