"""Rows that lie on disk, by number, with images as they are encoded."""

from collections.abc import Iterator
from typing import Any


class StoredRows:
    """Access by number to a `datasets.Dataset`, nothing of it copied.

    Casting a column to undecoded images would do for plain ones; for images inside lists and dicts `datasets` then
    writes the whole data set anew.

    Args:
        rows: The data set.
        features: Its columns with their types, images undecoded (`datasets.Features`).
    """

    def __init__(self, *, rows: Any, features: Any) -> None:
        self._rows = rows.with_format("arrow")
        self._features = features

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        (row,) = self._rows[index].to_pylist()
        decoded: dict[str, Any] = self._features.decode_example(row)
        return decoded

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[index] for index in range(len(self)))

    def column(self, name: str) -> list[Any]:
        """Return all values of a column that is neither image nor JSON."""
        values: list[Any] = self._rows.select_columns([name]).with_format(None)[name][:]
        return values
