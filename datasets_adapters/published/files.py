"""The authors' files, whole: JSON, JSON Lines and CSV, with errors that name the file, and where to get it."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_adapters.strict_json import StrictJsonError, parse_json
from finetune.types import DataCard

# Captions and documents with whole pages of text.
_LONGEST_CELL = 2**24
_SPACE = re.compile(r"[ \t\r\n]*")


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
    raise ValueError(
        f"dataset.root: {root} has no {wanted} (seen from {Path.cwd()}); {card.title} is to be had from "
        f"{card.homepage} ({card.licence})"
    )


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
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
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
    try:
        yield from _members(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 from byte {error.start} on: save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is no JSON object: {error.msg} at character {error.pos}") from error


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
    csv.field_size_limit(_LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"{path} has no column {', '.join(missing)}; it has {', '.join(reader.fieldnames or ())}"
                )
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"{path}:{reader.line_num} has another number of cells than the header")
                yield row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {error}") from error


def by_id(rows: Sequence[Mapping[str, Any]], key: str, path: Path) -> dict[Any, Mapping[str, Any]]:
    """Return rows by the value of `key`.

    Raises:
        ValueError: If one lacks it, or two share it.
    """
    found: dict[Any, Mapping[str, Any]] = {}
    for row in rows:
        if key not in row:
            raise ValueError(f"{path}: a row has no {key}: {str(row)[:60]}…")
        if row[key] in found:
            raise ValueError(f"{path}: two rows have {key} {row[key]!r}")
        found[row[key]] = row
    return found
