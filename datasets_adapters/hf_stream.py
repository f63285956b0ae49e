"""Rows of a stream by number: forward only, with the current block kept."""

import os
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any


class StreamedRows:
    """Access by number to rows that can only be read in order.

    The block that a row is in is read once and kept, so that rows of one block cost nothing in any order; a later block
    is reached by reading on, an earlier one by starting again.
    """

    def __init__(self, *, rows: Any, num_rows: int, block_size: int) -> None:
        self.block_size = block_size
        self._rows = rows
        self._num_rows = num_rows
        self._restart()

    def __len__(self) -> int:
        return self._num_rows

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        """Return row `index`.

        Raises:
            ValueError: If the stream ended before it.
        """
        # A forked worker shares its parent's open files: reading on from them would tear both streams.
        if os.getpid() != self._process:
            self._restart()
        start = index - index % self.block_size
        if start != self._block_start:
            self._read_block(start)
        if index - start >= len(self._block):
            num_found = start + len(self._block)
            raise ValueError(
                f"the stream ended after {num_found} of {self._num_rows} rows: set dataset.num_train/num_eval"
            )
        return self._block[index - start]

    def __reduce__(self) -> tuple[object, ...]:
        # An iterator cannot be pickled; a copy starts again.
        return _rebuild, (self._rows, self._num_rows, self.block_size)

    def _restart(self) -> None:
        self._process = os.getpid()
        self._iterator: Iterator[Mapping[str, Any]] | None = None
        self._position = 0
        self._block_start = -1
        self._block: list[Mapping[str, Any]] = []

    def _read_block(self, start: int) -> None:
        if self._iterator is None or start < self._position:
            self._iterator = iter(self._rows.skip(start))
            self._position = start
        ahead = start - self._position
        self._block = list(islice(self._iterator, ahead, ahead + self.block_size))
        self._block_start = start
        self._position = start + len(self._block)


def _rebuild(rows: Any, num_rows: int, block_size: int) -> StreamedRows:
    return StreamedRows(rows=rows, num_rows=num_rows, block_size=block_size)
