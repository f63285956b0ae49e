"""JSON that any reader accepts and that gives back every float exactly.

JSON has no word for a value that is not finite, and Python's own writer breaks the format to say one. Here they are the
strings "NaN", "Infinity" and "-Infinity": a diverged loss stays visible, and `float` reads all three.
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

# Half a surrogate pair, which a data set's own JSON may hold, has no UTF-8; its escape is good JSON.
UNPAIRED = "backslashreplace"


def dumps(value: object, *, indent: int | None = None) -> str:
    """Write mappings, sequences, strings, booleans, numbers and None; floats are written with `repr`."""
    return json.dumps(_finite(value), allow_nan=False, ensure_ascii=False, indent=indent)


def write_file(path: Path, text: str) -> None:
    """Replace a text file in one step: a reader, or a crash, finds the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8", errors=UNPAIRED) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def append_line(path: Path, value: object) -> None:
    """Add one value as one line."""
    with path.open("a", encoding="utf-8", errors=UNPAIRED) as file:
        file.write(dumps(value) + "\n")


def complete_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, without a last one that a killed process did not finish."""
    with path.open(encoding="utf-8") as file:
        yield from (line for line in file if line.endswith("\n"))


def _finite(value: object) -> object:
    match value:
        case float() if math.isnan(value):
            return "NaN"
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case dict():
            return {str(key): _finite(member) for key, member in value.items()}
        case list() | tuple():
            return [_finite(member) for member in value]
    return value
