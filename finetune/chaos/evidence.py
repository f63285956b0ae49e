"""What a run's folder says about the run, read without the code that wrote it, and compared bit for bit.

Timings differ between any two runs and are left out; everything else of two equal runs is equal: each logged number, as
a hexadecimal float, each tensor of the newest checkpoint, its counters, and what evaluations predicted.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
_MANIFEST, _STATE = "MANIFEST.json", "state"
_TIMINGS = ("examples_per_second", "tokens_per_second", "memory_gib")
# What a save or a deletion that was cut short leaves behind.
_UNPUBLISHED = (".tmp-step-*", ".del-step-*")
_HEADER_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a run computed.

    Args:
        values: Step, name and hexadecimal float of every logged value, in the order of logging.
        tensors: Kind, shape and sha256 of each tensor of the newest checkpoint, by file and name.
        state: The newest checkpoint's counters and plain values.
        predictions: sha256 of every file of predictions, by name.
        step: The newest checkpoint's; None: there is none.
    """

    values: tuple[tuple[int, str, str], ...]
    tensors: Mapping[str, str]
    state: Mapping[str, Any]
    predictions: Mapping[str, str]
    step: int | None


def read_evidence(folder: Path) -> Evidence:
    """Read what a run's folder holds."""
    checkpoints = published(folder)
    newest = checkpoints[-1] if checkpoints else None
    return Evidence(
        values=read_values(folder),
        tensors={} if newest is None else _tensors_of(newest),
        state={} if newest is None else json.loads(state_file(newest).read_bytes()),
        predictions={path.name: _sha256(path) for path in sorted((folder / "predictions").glob("*.jsonl"))},
        step=None if newest is None else step_of(newest),
    )


def differences(expected: Evidence, found: Evidence) -> list[str]:
    """Say in what two runs differ, each kind of difference by its first place; nothing: they are equal."""
    told = []
    if found.values != expected.values:
        told.append(_first_difference(expected.values, found.values))
    if found.step != expected.step:
        told.append(f"the newest checkpoint is of step {found.step}, not {expected.step}")
    for what, before, after in (
        ("tensor", expected.tensors, found.tensors),
        ("predictions", expected.predictions, found.predictions),
        ("state", expected.state, found.state),
    ):
        changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
        if changed:
            told.append(f"{what}: {len(changed)} differ, {changed[0]} first")
    return told


def read_values(folder: Path) -> tuple[tuple[int, str, str], ...]:
    """Return every logged value that is no timing; a last line that is cut short is left out."""
    path = folder / METRICS
    if not path.exists():
        return ()
    *lines, _cut = path.read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines]
    return tuple(
        (row["step"], name, float(value).hex())
        for row in rows
        for name, value in row.items()
        if name != "step" and name not in _TIMINGS
    )


def losses(values: tuple[tuple[int, str, str], ...]) -> dict[int, float]:
    """Return the training loss of each step."""
    return {step: float.fromhex(text) for step, name, text in values if name == "loss"}


def published(folder: Path) -> list[Path]:
    """Return the checkpoints that a run could be continued from, whole or not, the newest last."""
    return sorted(path for path in (folder / CHECKPOINTS).glob("step-*") if path.is_dir())


def step_of(checkpoint: Path) -> int:
    """Return which step a checkpoint is of."""
    return int(checkpoint.name.removeprefix("step-"))


def state_file(checkpoint: Path) -> Path:
    """Return the file of counters that a checkpoint's manifest names."""
    manifest = json.loads((checkpoint / _MANIFEST).read_bytes())
    (name,) = (name for name in manifest["files"] if name.startswith(_STATE))
    return checkpoint / str(name)


def unpublished(folder: Path) -> list[Path]:
    """Return what saves that were cut short left behind."""
    return [path for pattern in _UNPUBLISHED for path in (folder / CHECKPOINTS).glob(pattern)]


def torn(folder: Path) -> list[str]:
    """Name each published checkpoint whose files are not what its manifest says, and why."""
    return [f"{path.name}: {problem}" for path in published(folder) if (problem := _problem(path))]


def _problem(checkpoint: Path) -> str:
    try:
        manifest = json.loads((checkpoint / _MANIFEST).read_bytes())
        for name, record in manifest["files"].items():
            if _sha256(checkpoint / name) != record["sha256"]:
                return f"{name} is not what was written"
        if manifest["step"] != step_of(checkpoint):
            return f"its manifest is of step {manifest['step']}"
        _tensors_of(checkpoint)
    except (OSError, ValueError, KeyError, struct.error) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _tensors_of(checkpoint: Path) -> dict[str, str]:
    return {
        f"{path.name}/{name}": text
        for path in sorted(checkpoint.glob("*.safetensors"))
        for name, text in _tensors_in(path.read_bytes()).items()
    }


def _tensors_in(content: bytes) -> dict[str, str]:
    """Return kind, shape and sha256 of each tensor of a safetensors file.

    Source:
        The format: eight bytes with the header's length, the header as JSON, then the tensors by their offsets.
    """
    (length,) = _HEADER_LENGTH.unpack_from(content)
    start = _HEADER_LENGTH.size + length
    header = json.loads(content[_HEADER_LENGTH.size : start])
    found = {}
    for name, tensor in header.items():
        if name == "__metadata__":
            continue
        first, end = tensor["data_offsets"]
        digest = hashlib.sha256(content[start + first : start + end]).hexdigest()
        found[name] = f"{tensor['dtype']} {tensor['shape']} {digest}"
    return found


def _first_difference(expected: tuple[tuple[int, str, str], ...], found: tuple[tuple[int, str, str], ...]) -> str:
    for before, after in zip(expected, found, strict=False):
        if before != after:
            return f"values: {_shown(after)} where {_shown(before)} was expected"
    return f"values: {len(found)} were logged, {len(expected)} expected"


def _shown(value: tuple[int, str, str]) -> str:
    step, name, text = value
    return f"{name} {text} at step {step}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
