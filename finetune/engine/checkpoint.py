"""Checkpoints that are whole or are not there.

    checkpoints/step-00001200/MANIFEST.json            size and sha256 of every other file
                              trained.safetensors      the parameters that train
                              optimizer.safetensors    the optimizer's tensors, by parameter
                              state.json               counters and the optimizer's plain values
    checkpoints/.tmp-step-00001300-1f2e3d4c/           being written, or left by a killed process: never read
    checkpoints/.del-step-00001000-5a6b7c8d/           being deleted: never read

Commit: write every file into the temporary folder, force it to the disk, rename the folder once. Only then is an older
checkpoint removed, and it loses its name before its first file. A kill at any moment leaves whole folders alone.
Only one rank writes. A checkpoint that does not verify is passed over, by name and reason, never half used.
"""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from finetune.engine.durable import sync, write_text
from finetune.engine.manifest import (
    DamagedCheckpointError,
    Manifest,
    read_manifest,
    record_file,
    verify_files,
    write_manifest,
)
from finetune.engine.stops import DiskFullError
from finetune.model.file_mode import share_tensors

TRAINED = "trained.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Folder entries, JSON and safetensors headers beside the tensors.
_OVERHEAD_BYTES = 4 << 20


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


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: Made when the first one is saved.
        keep_last: How many of the newest stay, besides the best of each.
        warn: Told about checkpoints that were passed over.
    """

    def __init__(self, folder: Path, *, keep_last: int, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._keep_last = keep_last
        self._warn = warn

    def save(self, snapshot: Snapshot) -> Path:
        """Commit a snapshot, then remove what retention does not keep. Replaces a checkpoint of the same step.

        Raises:
            DiskFullError: If there is no room; what was there before still is.
        """
        need = sum(t.nbytes for tensors in (snapshot.trained, snapshot.optimizer) for t in tensors.values())
        return self._commit(snapshot.step, need + _OVERHEAD_BYTES, lambda folder: _write(folder, snapshot))

    def restate(self, snapshot: Snapshot) -> Path:
        """Replace what the checkpoint of this step says beside its tensors, which are the same and stay where they are.

        Raises:
            DiskFullError: If there is no room; what was there before still is.
        """
        saved = self.path(snapshot.step)
        return self._commit(snapshot.step, _OVERHEAD_BYTES, lambda folder: _restate(folder, saved, snapshot))

    def _commit(self, step: int, need: int, write: Callable[[Path], None]) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_leftovers()
        if shutil.disk_usage(self.folder).free < need:
            raise self._disk_full(need)
        target = self.folder / _name(step)
        partial = self.folder / f".tmp-{target.name}-{_unique()}"
        try:
            partial.mkdir()
            write(partial)
            if target.exists():
                self._discard(target)
            os.rename(partial, target)
            sync(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            if _is_disk_full(error):
                raise self._disk_full(need) from error
            raise
        self._retain(step)
        return target

    def steps(self) -> list[int]:
        """Return the steps that have a folder, whole or damaged, newest first."""
        if not self.folder.is_dir():
            return []
        names = (path.name.removeprefix("step-") for path in self.folder.glob("step-*") if path.is_dir())
        return sorted((int(name) for name in names if name.isascii() and name.isdigit()), reverse=True)

    def newest(self) -> int | None:
        """Return the newest step whose checkpoint verifies; None if the run has none at all.

        Raises:
            ValueError: If there are checkpoints and none of them verifies: starting over would hide that.
        """
        problems = []
        for step in self.steps():
            try:
                self.verify(step)
            except DamagedCheckpointError as error:
                problems.append(str(error))
            else:
                for problem in problems:
                    self._warn(f"passed over a damaged checkpoint: {problem}")
                return step
        if problems:
            raise ValueError(
                f"no checkpoint in {self.folder} can be used; remove the folder or give the run another name\n"
                + "\n".join(problems)
            )
        return None

    def best(self) -> int | None:
        """Return the step that scored best as of the newest checkpoint; None where no metric decides."""
        step = self.newest()
        return None if step is None else read_manifest(self.path(step)).best_step

    def path(self, step: int) -> Path:
        """Return a checkpoint's folder."""
        return self.folder / _name(step)

    def verify(self, step: int) -> None:
        """Compare a checkpoint's files with its manifest.

        Raises:
            DamagedCheckpointError: If they differ.
        """
        folder = self.path(step)
        manifest = read_manifest(folder)
        if manifest.step != step or manifest.files.keys() != {TRAINED, OPTIMIZER, STATE}:
            raise DamagedCheckpointError(f"{folder.name} holds the manifest of another checkpoint")
        verify_files(folder, manifest)

    def load(self, step: int) -> Snapshot:
        """Verify and read the checkpoint that the user named. Never falls back to another one.

        Raises:
            ValueError: If it is missing or damaged.
        """
        if not self.path(step).is_dir():
            known = ", ".join(map(str, self.steps())) or "none"
            raise ValueError(f"there is no checkpoint of step {step} in {self.folder}; there are: {known}")
        self.verify(step)
        return self.read(step)

    def read(self, step: int) -> Snapshot:
        """Read a checkpoint that was verified onto the CPU."""
        folder = self.path(step)
        return Snapshot(
            step=step,
            best_step=read_manifest(folder).best_step,
            trained=load_file(folder / TRAINED),
            optimizer=load_file(folder / OPTIMIZER),
            state=json.loads((folder / STATE).read_text(encoding="utf-8")),
        )

    def set_aside_after(self, step: int) -> None:
        """Rename checkpoints newer than the one that the run continues from, so that retention does not count them."""
        for newer in self.steps():
            if newer > step:
                os.rename(self.path(newer), self.folder / f"damaged-{_name(newer)}-{_unique()}")

    def _retain(self, step: int) -> None:
        whole = {known: manifest for known in self.steps() if (manifest := _manifest_or_none(self.path(known)))}
        newest = [known for known in whole if known <= step][: self._keep_last]
        kept = {*newest, *(whole[known].best_step for known in newest)}
        for known in self.steps():
            if known < step and known not in kept:
                self._discard(self.path(known))

    def _discard(self, folder: Path) -> None:
        doomed = folder.with_name(f".del-{folder.name}-{_unique()}")
        os.rename(folder, doomed)
        # What a file system holds on to for a while goes with the next save.
        shutil.rmtree(doomed, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        for pattern in (".tmp-step-*", ".del-step-*"):
            for leftover in self.folder.glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)

    def _disk_full(self, need: int) -> DiskFullError:
        free = shutil.disk_usage(self.folder).free
        return DiskFullError(
            f"no room for a checkpoint in {self.folder}: it needs {need / 2**20:.0f} MiB, {free / 2**20:.0f} MiB are "
            "free. The last good checkpoint is still there; make room and start the same command again"
        )


def _write(folder: Path, snapshot: Snapshot) -> None:
    """Write a snapshot's files and the manifest, and force them to the disk."""
    save_file(_on_cpu(snapshot.trained), folder / TRAINED)
    save_file(_on_cpu(snapshot.optimizer), folder / OPTIMIZER)
    write_text(folder / STATE, json.dumps(snapshot.state, indent=1))
    share_tensors(folder, like=STATE)
    files = {name: record_file(folder / name) for name in (TRAINED, OPTIMIZER, STATE)}
    write_manifest(folder, Manifest(step=snapshot.step, best_step=snapshot.best_step, files=files))


def _restate(folder: Path, saved: Path, snapshot: Snapshot) -> None:
    """Write a checkpoint of the tensors in `saved` with the snapshot's state."""
    manifest = read_manifest(saved)
    for name in (TRAINED, OPTIMIZER):
        try:
            os.link(saved / name, folder / name)
        except OSError:
            # Not every file system has links.
            shutil.copy2(saved / name, folder / name)
            sync(folder / name)
    write_text(folder / STATE, json.dumps(snapshot.state, indent=1))
    files = {**manifest.files, STATE: record_file(folder / STATE)}
    write_manifest(folder, Manifest(step=snapshot.step, best_step=snapshot.best_step, files=files))


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    empty = [name for name, tensor in tensors.items() if tensor.numel() == 0]
    assert not empty, f"tensors without elements, as a sharded model shows them, cannot be resumed: {empty}"
    # A copy, because bitsandbytes shares tensors between parameters, and safetensors has no word for that.
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def _manifest_or_none(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except DamagedCheckpointError:
        return None


def _is_disk_full(error: Exception) -> bool:
    # safetensors reports the system's error as text: "I/O error: No space left on device (os error 28)".
    return (isinstance(error, OSError) and error.errno in _FULL) or any(
        f"os error {number}" in str(error) for number in _FULL
    )


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _unique() -> str:
    return uuid.uuid4().hex[:8]
