"""Bytes that are on the disk when the call returns, and their fingerprint."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from finetune.engine.faults import reach


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """Size and content of one file as it was written."""

    bytes: int
    sha256: str


def write_chunks(path: Path, chunks: Iterable[bytes | memoryview], *, moment: str) -> FileRecord:
    """Write a new file, force it to the disk, and return its fingerprint, which is taken while writing.

    Args:
        chunks: Its content, piece by piece.
        moment: What the moments of this file are called in `finetune.engine.faults`.

    Raises:
        OSError: As the system says it; what was written so far is left to the caller.
    """
    reach(f"{moment}.before")
    digest, num_bytes = hashlib.sha256(), 0
    # Unbuffered: what was handed over is the system's, and an error names this write and not a later one.
    with path.open("xb", buffering=0) as file:
        for number, chunk in enumerate(chunks):
            _write_all(file.fileno(), chunk)
            digest.update(chunk)
            num_bytes += len(chunk)
            if number == 0:
                reach(f"{moment}.begun")
        reach(f"{moment}.written")
        os.fsync(file.fileno())
    reach(f"{moment}.synced")
    return FileRecord(bytes=num_bytes, sha256=digest.hexdigest())


def in_two(text: str) -> tuple[bytes, bytes]:
    """Return a text's bytes in two pieces, between which a test can end the process."""
    content = text.encode("utf-8")
    return content[: len(content) // 2], content[len(content) // 2 :]


def write_text(path: Path, text: str) -> None:
    """Write a new file and force it to the disk."""
    path.write_text(text, encoding="utf-8")
    sync(path)


def sync(path: Path) -> None:
    """Force a file's content, or a folder's list of names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_all(descriptor: int, chunk: bytes | memoryview) -> None:
    """Write every byte: the system may take fewer at once, and says why it takes no more only when asked again."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
