"""The rows of one split, joined from the authors' files once and kept small: each as JSON in one block of bytes.

A list of dictionaries takes about ten times the room, and every loader process would get a copy of its own.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from datasets_adapters.published.objects import are_objects
from datasets_adapters.rows import RowPlace, quote, read_id, read_text
from finetune.types import Sample

Row = Mapping[str, Any]
ReadRow = Callable[[Row, RowPlace], Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """A source over packed rows. Picklable where `read` is: a method of a frozen data set, or a plain function.

    Args:
        packed: Every row's JSON, one after another.
        ends: Where each row ends in `packed`.
        read: From a row and its place to a sample.
        file: What messages call the file that the rows stand in.
        unit: What the file calls a row, such as "question".
        id_key: The row's field that identifies it, to be named in messages.
    """

    packed: bytes
    ends: Int64[np.ndarray, " rows"]
    read: ReadRow
    file: str
    unit: str
    id_key: str

    @property
    def block_size(self) -> int | None:
        """None: any row can be read at any time."""
        return None

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Sample:
        """Read one row.

        Raises:
            BadSampleError: If it breaks a rule, named by file and id.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"the split has {len(self)} rows, got index {index}")
        start = int(self.ends[index - 1]) if index else 0
        row: Row = json.loads(self.packed[start : int(self.ends[index])])
        identifier = str(row.get(self.id_key, index))
        return self.read(row, RowPlace(origin=f"{self.file}: {self.unit} {identifier}", sample_id=identifier))


def pack_rows(rows: Iterable[Row], *, read: ReadRow, file: str, unit: str, id_key: str) -> RowSource:
    """Pack rows; arguments as `RowSource` takes them."""
    encoded = [
        json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") for row in rows
    ]
    ends = np.cumsum([len(row) for row in encoded], dtype=np.int64)
    return RowSource(packed=b"".join(encoded), ends=ends, read=read, file=file, unit=unit, id_key=id_key)


def texts_under(value: object, key: str, field_name: str, place: RowPlace) -> tuple[str, ...]:
    """Return the text under `key` in each object of a list.

    Raises:
        BadSampleError: If it is no list of objects, or one has no such text.
    """
    if not are_objects(value):
        place.refuse(field_name, "wrong-type", f"must be a list of objects, got {quote(value)}")
    return tuple(read_text(one.get(key), f"{field_name}[{index}].{key}", place) for index, one in enumerate(value))


def public_id(row: Row, key: str, place: RowPlace) -> int | str:
    """Return a row's id as its authors' server knows it: a whole number stays one.

    Raises:
        BadSampleError: If it is neither text nor a whole number.
    """
    text = read_id(row.get(key), key, place)
    return row[key] if isinstance(row[key], int) else text
