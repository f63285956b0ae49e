"""Rows found by their ids, where the authors' files refer to each other."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from datasets_adapters.rows import quote

Id = int | str
_T = TypeVar("_T")


def by_id(rows: Sequence[Mapping[str, Any]], key: str, path: Path) -> dict[Id, Mapping[str, Any]]:
    """Return rows by the value of `key`.

    Raises:
        ValueError: If one has no id there, or two share theirs, naming file and row.
    """
    found: dict[Id, Mapping[str, Any]] = {}
    for number, (identifier, row) in enumerate(_with_ids(rows, key, path), start=1):
        if identifier in found:
            raise ValueError(f"{path}: row {number} has the {key} {quote(identifier)} of a row before it")
        found[identifier] = row
    return found


def grouped_by_id(rows: Sequence[Mapping[str, Any]], key: str, path: Path) -> dict[Id, list[Mapping[str, Any]]]:
    """Return the rows that share each value of `key`, in their order.

    Raises:
        ValueError: If one has no id there, naming file and row.
    """
    found: dict[Id, list[Mapping[str, Any]]] = defaultdict(list)
    for identifier, row in _with_ids(rows, key, path):
        found[identifier].append(row)
    return dict(found)


def under_id(identifier: object, found: Mapping[Id, _T], otherwise: _T) -> _T:
    """Return what stands under the id that another file gives; `otherwise` also for what is no id."""
    return found.get(identifier, otherwise) if _is_id(identifier) else otherwise


def _with_ids(rows: Sequence[Mapping[str, Any]], key: str, path: Path) -> Iterator[tuple[Id, Mapping[str, Any]]]:
    for number, row in enumerate(rows, start=1):
        identifier = row.get(key)
        if not _is_id(identifier):
            raise ValueError(
                f"{path}: {key} of row {number} must be text or a whole number, got {quote(identifier)}: {quote(row)}"
            )
        yield identifier, row


def _is_id(value: object) -> TypeGuard[Id]:
    # True would be found as 1, 1.0 as well.
    return isinstance(value, int | str) and not isinstance(value, bool)
