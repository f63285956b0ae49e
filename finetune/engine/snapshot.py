"""One checkpoint's files: written into a folder that is not yet named, said anew, and read.

step-00001200/MANIFEST.json            size and sha256 of every other file
              trained.safetensors      the parameters that train
              optimizer.safetensors    the optimizer's tensors, by parameter
              state.json               counters and the optimizer's plain values; state-1f2e3d4c.json once said anew
"""

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from finetune.engine.durable import in_two, sync, write_chunks
from finetune.engine.faults import reach
from finetune.engine.manifest import DamagedCheckpointError, Manifest, read_manifest, verify_files, write_manifest
from finetune.engine.tensor_file import write_tensors

TRAINED = "trained.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
_STATES = "state*.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a run needs to go on.

    Args:
        step: Optimizer steps done.
        best_step: The step whose checkpoint must outlive retention; None: none.
        state: Counters and plain values, as JSON.
    """

    step: int
    best_step: int | None
    trained: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]

    @property
    def num_bytes(self) -> int:
        """What the tensors take on the disk."""
        return sum(tensor.nbytes for tensors in (self.trained, self.optimizer) for tensor in tensors.values())


def write_snapshot(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot's files and the manifest into an empty folder, and force them to the disk."""
    files = {
        TRAINED: write_tensors(folder / TRAINED, snapshot.trained, moment="trained"),
        OPTIMIZER: write_tensors(folder / OPTIMIZER, snapshot.optimizer, moment="optimizer"),
        STATE: write_chunks(folder / STATE, in_two(_as_json(snapshot.state)), moment="state"),
    }
    write_manifest(folder, Manifest(step=snapshot.step, best_step=snapshot.best_step, files=files))
    sync(folder)
    reach("folder.synced")


def rewrite_state(folder: Path, best_step: int | None, state: Mapping[str, Any]) -> None:
    """Replace what a whole checkpoint says beside its tensors. The new manifest's name is the moment of truth."""
    manifest = read_manifest(folder)
    name = f"state-{uuid.uuid4().hex[:8]}.json"
    tensors = {file: record for file, record in manifest.files.items() if file in (TRAINED, OPTIMIZER)}
    try:
        record = write_chunks(folder / name, in_two(_as_json(state)), moment="restate.state")
        restated = Manifest(step=manifest.step, best_step=best_step, files={**tensors, name: record})
        write_manifest(folder, restated, moment="restate.manifest")
    except OSError:
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)
        raise
    reach("restate.replaced")
    sync(folder)
    reach("restate.synced")
    for old in folder.glob(_STATES):
        if old.name != name:
            old.unlink()


def read_whole_manifest(folder: Path) -> Manifest:
    """Read the manifest of a checkpoint and make sure that the folder holds what a checkpoint holds, and no more.

    Raises:
        DamagedCheckpointError: If not. Names with a dot, which file systems make, do not count.
    """
    manifest = read_manifest(folder)
    states = [name for name in manifest.files if Path(name).match(_STATES)]
    if len(states) != 1 or manifest.files.keys() != {TRAINED, OPTIMIZER, *states}:
        raise DamagedCheckpointError(f"{folder.name} holds the manifest of something else")
    known = {path.name for path in folder.glob(_STATES)} | {"MANIFEST.json", *manifest.files}
    if strange := sorted(path.name for path in folder.iterdir() if path.name not in known and path.name[0] != "."):
        raise DamagedCheckpointError(f"{folder.name}/{strange[0]} was not written there by a run")
    return manifest


def verify_snapshot(folder: Path, step: int, *, hashes: bool = True) -> Manifest:
    """Compare a checkpoint's files with its manifest, which must be the step's, and return that.

    Args:
        hashes: Whether to read every byte; otherwise the sizes must do.

    Raises:
        DamagedCheckpointError: If they differ.
    """
    manifest = read_whole_manifest(folder)
    if manifest.step != step:
        raise DamagedCheckpointError(f"{folder.name} holds the manifest of step {manifest.step}")
    verify_files(folder, manifest, hashes=hashes)
    return manifest


def read_snapshot(folder: Path) -> Snapshot:
    """Read a checkpoint that was verified onto the CPU."""
    manifest = read_manifest(folder)
    return Snapshot(
        step=manifest.step,
        best_step=manifest.best_step,
        trained=load_file(folder / TRAINED),
        optimizer=load_file(folder / OPTIMIZER),
        state=read_state(folder),
    )


def read_state(folder: Path) -> dict[str, Any]:
    """Read what a verified checkpoint says beside its tensors."""
    (name,) = (name for name in read_manifest(folder).files if Path(name).match(_STATES))
    state: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return state


def _as_json(state: Mapping[str, Any]) -> str:
    return json.dumps(state, indent=1)
