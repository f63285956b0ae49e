"""Where the lines of a JSON Lines file start, so that any of them can be read without the others."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from datasets_adapters.rows import RowPlace
from datasets_adapters.strict_json import StrictJsonError, parse_json

LONGEST_LINE_BYTES = 32 * 2**20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLOCK_BYTES = 2**23
_SPACES = b" \t\r"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineIndex:
    """The lines that hold something: blank ones and a byte order mark are left out.

    Args:
        starts, stops: Byte offsets of each line, without its newline.
        numbers: Line numbers in the file, from 1.
    """

    path: Path
    starts: Int64[np.ndarray, " lines"]
    stops: Int64[np.ndarray, " lines"]
    numbers: Int64[np.ndarray, " lines"]

    def __len__(self) -> int:
        return len(self.starts)

    def origin(self, index: int) -> str:
        """Return "train.jsonl:17" for a line."""
        return f"{self.path.name}:{self.numbers[index]}"

    def read(self, index: int, place: RowPlace) -> dict[str, object]:
        """Parse one line.

        Raises:
            BadSampleError: If the line is too long, not strict JSON, or no object.
        """
        length = int(self.stops[index] - self.starts[index])
        if length > LONGEST_LINE_BYTES:
            message = f"has {length} bytes, over {LONGEST_LINE_BYTES}: put large values into files"
            place.refuse("line", "line-too-long", message)
        with self.path.open("rb") as file:
            file.seek(int(self.starts[index]))
            encoded = file.read(length)
        try:
            row = parse_json(encoded)
        except StrictJsonError as error:
            place.refuse("line", error.code, str(error))
        if not isinstance(row, dict):
            place.refuse("line", "wrong-type", f"must be a JSON object, got a {type(row).__name__}")
        return row

    def passed_over(self, index: int) -> Counter[str]:
        """Count what was passed over right in front of a line; a Counter without what there was not."""
        before = int(self.numbers[index - 1]) if index else 0
        is_first = self.numbers[index] == 1
        return +Counter(
            {
                "blank lines passed over": int(self.numbers[index]) - before - 1,
                "byte order marks passed over": int(is_first and self.starts[index] > 0),
            }
        )

    def encoded_lines(self) -> Iterator[bytes]:
        """Yield every line in order; "" for one that is too long to be read."""
        with self.path.open("rb") as file:
            for start, stop in zip(self.starts.tolist(), self.stops.tolist(), strict=True):
                file.seek(start)
                yield file.read(stop - start) if stop - start <= LONGEST_LINE_BYTES else b""


def index_lines(path: Path) -> LineIndex:
    """Find the lines of a file, in one pass that parses nothing.

    Raises:
        ValueError: If the file holds no line, or ends inside one: then more lines may be missing.
    """
    newlines = _newline_offsets(path)
    size = path.stat().st_size
    starts = np.concatenate([np.zeros(1, np.int64), newlines + 1])
    stops = np.concatenate([newlines, np.array([size], np.int64)])
    with path.open("rb") as file:
        if file.read(len(_BYTE_ORDER_MARK)) == _BYTE_ORDER_MARK:
            starts[0] = len(_BYTE_ORDER_MARK)
        is_blank = stops <= starts
        for line in np.flatnonzero(~is_blank):
            file.seek(int(starts[line]))
            if file.read(1) in _SPACES:
                file.seek(int(starts[line]))
                is_blank[line] = not file.read(int(min(stops[line] - starts[line], LONGEST_LINE_BYTES))).strip()
    lines = np.flatnonzero(~is_blank)
    index = LineIndex(path=path, starts=starts[lines], stops=stops[lines], numbers=lines + 1)
    if not len(index):
        raise ValueError(f"{path} holds no line")
    if index.stops[-1] == size:
        _check_complete(index)
    return index


def _newline_offsets(path: Path) -> Int64[np.ndarray, " newlines"]:
    found = [np.zeros(0, np.int64)]
    offset = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            found.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + offset)
            offset += len(block)
    return np.concatenate(found)


def _check_complete(index: LineIndex) -> None:
    """Refuse a last line without a newline that is no JSON: the mark of a copy that was cut off."""
    last = len(index) - 1
    if index.stops[last] - index.starts[last] > LONGEST_LINE_BYTES:
        return
    with index.path.open("rb") as file:
        file.seek(int(index.starts[last]))
        encoded = file.read()
    try:
        parse_json(encoded)
    except StrictJsonError as error:
        message = f"{index.path}: the file ends inside line {index.numbers[last]} ({error}): copy it again"
        raise ValueError(message) from error
