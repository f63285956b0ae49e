"""The authors' files, whole: JSON, JSON Lines and CSV, with errors that name the file, and where to get it."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datasets_adapters.published.objects import are_objects
from datasets_adapters.rows import RowPlace
from datasets_adapters.strict_json import StrictJsonError, parse_json
from finetune.published import DataCard

# Captions and documents with whole pages of text.
_LONGEST_CELL = 2**24
_SPACE = re.compile(r"[ \t\r\n]*")


def where_to_get(card: DataCard) -> str:
    """Return what every message about something missing ends with."""
    return f"{card.title} is to be had from {card.homepage} ({card.licence})"


def find_folder(path: Path, card: DataCard) -> Path:
    """Return the path of a folder of the data set's that is there.

    Raises:
        ValueError: If it is not, saying where the data set is to be had.
    """
    if not path.is_dir():
        raise ValueError(f"dataset.root: there is no folder {path} (seen from {Path.cwd()}); {where_to_get(card)}")
    return path


def find_annotations(root: Path, names: str | Sequence[str], card: DataCard) -> Path:
    """Return the first of `names` that is a file under `root`.

    Raises:
        ValueError: If none is there, saying where the data set is to be had.
    """
    candidates = [names] if isinstance(names, str) else list(names)
    for name in candidates:
        if (root / name).is_file():
            return root / name
    wanted = candidates[0] if len(candidates) == 1 else f"{', '.join(candidates[:-1])} or {candidates[-1]}"
    raise ValueError(f"dataset.root: {root} has no {wanted} (seen from {Path.cwd()}); {where_to_get(card)}")


def read_plain_text(path: Path) -> str:
    """Read a text file that several rows share, such as a list of them; a byte order mark is passed over.

    Raises:
        ValueError: If it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 from byte {error.start} on: save the file as UTF-8") from error


def read_utf8(path: Path, field_name: str, place: RowPlace) -> str:
    """Read the text file that a row has for itself; a byte order mark is passed over.

    Raises:
        BadSampleError: If it is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        place.refuse(field_name, "not-utf8", f"{path.name} is no text in UTF-8: {error}")


def read_json(path: Path) -> Any:
    """Parse a whole file.

    Raises:
        ValueError: If it is not strict JSON.
    """
    try:
        return parse_json(path.read_bytes())
    except StrictJsonError as error:
        raise ValueError(f"{path} {error}") from error


def read_json_list(path: Path, key: str | None = None) -> list[dict[str, Any]]:
    """Parse a file that holds a list of objects, or an object with such a list under `key`.

    Raises:
        ValueError: If it holds something else.
    """
    value = read_json(path)
    where = f"{path}: {key}" if key is not None else str(path)
    if key is not None:
        value = value.get(key) if isinstance(value, dict) else None
    if not are_objects(value):
        raise ValueError(f"{where} must be a list of objects; is it another file?")
    return value


def read_json_object(path: Path) -> dict[str, Any]:
    """Parse a file that holds one object. Raises as `read_json_list`."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path} must be an object; is it another file?")
    return value


def read_json_members(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield each name and value of the one object that a file holds, without ever having all of them.

    For files of a million rows, of which a little is kept: read whole, they take seven times their size in memory.

    Raises:
        ValueError: If the file holds something else, or a name twice.
    """
    text = read_plain_text(path)
    try:
        yield from _members(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON object: {error.msg} at character {error.pos}") from error
    except (RecursionError, ValueError) as error:
        # As `parse_json` says of them.
        raise ValueError(f"{path} is nested too deeply, or holds a whole number of too many digits") from error


def _members(text: str) -> Iterator[tuple[str, Any]]:
    decoder = json.JSONDecoder()
    seen: set[str] = set()
    place = _past("{", text, 0)
    while text[place : place + 1] != "}":
        if seen:
            place = _past(",", text, place)
        name, end = decoder.raw_decode(text, place)
        if not isinstance(name, str) or name in seen:
            raise json.JSONDecodeError(f"{name!r} is no name, or stands twice", text, place)
        seen.add(name)
        value, end = decoder.raw_decode(text, _past(":", text, end))
        yield name, value
        place = _space(text, end)
    if _space(text, place + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, place + 1)


def _past(sign: str, text: str, place: int) -> int:
    """Return where the text goes on after a sign, and after the space around it."""
    place = _space(text, place)
    if text[place : place + 1] != sign:
        raise json.JSONDecodeError(f"Expecting {sign!r}", text, place)
    return _space(text, place + 1)


def _space(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    assert match is not None
    return match.end()


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield each line's object, blank lines passed over.

    Raises:
        ValueError: If a line is no JSON object, naming it.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except StrictJsonError as error:
                raise ValueError(f"{path}:{number} {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"{path}:{number} must be an object, got a {type(row).__name__}")
            yield row


def read_csv(path: Path, columns: Sequence[str], *, delimiter: str = ",") -> Iterator[dict[str, str]]:
    """Yield each row of a CSV file with a header, whose columns must include `columns`.

    Raises:
        ValueError: If a column is missing, a row has too few or too many cells, or the text is not UTF-8.
    """
    rows = read_cells(path, delimiter=delimiter, strict=True)
    _, header = next(rows, (0, []))
    missing = [column for column in columns if column not in header]
    if missing:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it has {', '.join(header)}")
    for line_number, cells in rows:
        if len(cells) != len(header):
            raise ValueError(f"{path}:{line_number} has another number of cells than the header")
        yield dict(zip(header, cells, strict=True))


def read_cells(path: Path, *, delimiter: str = ",", strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each row of a CSV file, and the line that it ends on; empty lines are passed over.

    Args:
        strict: Whether a quote in the wrong place is a mistake, not text.

    Raises:
        ValueError: If the text is not UTF-8, or no CSV.
    """
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=strict)
            yield from ((reader.line_num, cells) for cells in reader if cells)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error
