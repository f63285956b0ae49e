"""What a checkpoint's folder must contain, so that damage is found before it is loaded.

{"format": 1, "step": 1200, "best_step": 900,
 "files": {"state.json": {"bytes": 512, "sha256": "9f86…"}, …}, "sha256": "…of all the above"}
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.engine.durable import FileRecord, file_sha256, in_two, sync, write_chunks
from finetune.engine.identity import canonical_json

MANIFEST = "MANIFEST.json"
_FORMAT = 1
_PARTIAL = f".{MANIFEST}.partial"


class DamagedCheckpointError(ValueError):
    """A checkpoint's files are not those that were written; the message says which and how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A checkpoint's own description.

    Args:
        best_step: The step that scored best by then; its checkpoint is kept as long as this one. None: none.
    """

    step: int
    best_step: int | None
    files: Mapping[str, FileRecord]


def write_manifest(folder: Path, manifest: Manifest, *, moment: str = "manifest") -> None:
    """Write the manifest, the last file of a checkpoint, in the place of an older one if there is one.

    A reader, or a crash, finds the old manifest or the new one. The folder's names are forced to the disk before that,
    so that a manifest never names a file that is not there.
    """
    body = {"format": _FORMAT, **asdict(manifest)}
    partial = folder / _PARTIAL
    partial.unlink(missing_ok=True)
    write_chunks(partial, in_two(json.dumps({**body, "sha256": _sha256(body)}, indent=1)), moment=moment)
    sync(folder)
    os.replace(partial, folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Read a checkpoint's manifest.

    Raises:
        DamagedCheckpointError: If it is missing, or is not what was written.
    """
    try:
        body = json.loads((folder / MANIFEST).read_bytes())
        written = body.pop("sha256")
        intact = written == _sha256(body)
    except FileNotFoundError:
        raise DamagedCheckpointError(f"{folder.name}/{MANIFEST} is missing") from None
    except (ValueError, TypeError, AttributeError, KeyError):
        intact = False
    if not intact:
        raise DamagedCheckpointError(f"{folder.name}/{MANIFEST} has other content than was written")
    if body["format"] != _FORMAT:
        raise DamagedCheckpointError(
            f"{folder.name}/{MANIFEST} has format {body['format']}; this version reads format {_FORMAT}"
        )
    files = {name: FileRecord(**record) for name, record in body["files"].items()}
    return Manifest(step=body["step"], best_step=body["best_step"], files=files)


def verify_files(folder: Path, manifest: Manifest, *, hashes: bool = True) -> None:
    """Compare a folder's files with what was written.

    Args:
        hashes: Whether to compare their content too, and not their sizes alone.

    Raises:
        DamagedCheckpointError: At the first file that differs.
    """
    for name, record in manifest.files.items():
        path, where = folder / name, f"{folder.name}/{name}"
        if not path.is_file():
            raise DamagedCheckpointError(f"{where} is missing")
        if path.stat().st_size != record.bytes:
            raise DamagedCheckpointError(f"{where} has {path.stat().st_size} bytes, {record.bytes} were written")
        if hashes and file_sha256(path) != record.sha256:
            raise DamagedCheckpointError(f"{where} has other content than was written")


def _sha256(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(body).encode()).hexdigest()
