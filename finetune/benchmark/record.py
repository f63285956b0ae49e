"""What was measured, on disk: one JSON file, written again whenever a section ends. Imports without torch.

{"schema": 1, "made_by": {versions, device}, "command": {settings}, "sections": [{...}, ...], "left_out": [{...}]}
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

SCHEMA = 1


@dataclass(slots=True, kw_only=True)
class Record:
    """A benchmark's results, kept in a file.

    Args:
        path: The file; its folder exists.
        command: The settings.
        made_by: Versions and device (`finetune.benchmark.machine`).
    """

    path: Path
    command: Mapping[str, Any]
    made_by: Mapping[str, Any]
    sections: list[Mapping[str, Any]] = field(default_factory=list)
    left_out: list[Mapping[str, Any]] = field(default_factory=list)

    def add(self, section: Mapping[str, Any]) -> None:
        """Keep a section that has ended."""
        self.sections.append(section)
        self._write()

    def leave_out(self, title: str, why: str) -> None:
        """Keep that a section was not measured."""
        self.left_out.append({"title": title, "why": why})
        self._write()

    def content(self) -> dict[str, Any]:
        """Return what the file holds, as JSON values."""
        content = {
            "schema": SCHEMA,
            "made_by": self.made_by,
            "command": self.command,
            "sections": self.sections,
            "left_out": self.left_out,
        }
        plain: dict[str, Any] = json.loads(json.dumps(content, default=_plain))
        return plain

    def _write(self) -> None:
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(self.content(), indent=1) + "\n", encoding="utf-8")
        os.replace(beside, self.path)


def read_record(path: Path) -> dict[str, Any]:
    """Read what a `Record` wrote.

    Raises:
        ValueError: If the file is not one of ours, or of another version.
    """
    if not path.is_file():
        raise ValueError(f"report: there is no file {path}; give a JSON file that finetune bench wrote")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"report: {path} is no JSON file: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or "sections" not in content:
        raise ValueError(f"report: {path} was not written by this version of finetune bench")
    return content


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.name
    raise TypeError(f"{type(value).__name__} is no JSON value")
