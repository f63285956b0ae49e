"""Checkpoints that are whole or are not there.

    checkpoints/step-00001200/                   a snapshot's files and their manifest (`finetune.engine.snapshot`)
                .tmp-step-00001300-1f2e3d4c/     being written, or left by a killed process: never read
                .del-step-00001000-5a6b7c8d/     being deleted: never read

Commit: write every file into the temporary folder, force it to the disk, rename the folder once. Only then is an older
checkpoint removed, and it loses its name before its first file. A step that is saved already keeps its tensors, and its
manifest is replaced in one step. A kill at any moment (`finetune.engine.faults`) leaves whole folders alone.
Only one rank writes. A checkpoint that does not verify is passed over, by name and reason, never half used.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from finetune.engine.disk import disk_errors, free_bytes, mebibytes, require_room
from finetune.engine.durable import sync
from finetune.engine.faults import reach
from finetune.engine.manifest import DamagedCheckpointError, Manifest, read_manifest
from finetune.engine.snapshot import (
    Snapshot,
    read_snapshot,
    read_whole_manifest,
    rewrite_state,
    verify_snapshot,
    write_snapshot,
)
from finetune.engine.stops import DiskFullError

# Folder entries, JSON and safetensors headers beside the tensors.
OVERHEAD_BYTES = 4 << 20


class CheckpointStore:
    """The checkpoints of one run.

    Args:
        folder: Made when the first one is saved.
        keep_last: How many of the newest stay, besides the best of each.
        warn: Told about checkpoints that were passed over, and about those that could not be removed.
    """

    def __init__(self, folder: Path, *, keep_last: int, warn: Callable[[str], None]) -> None:
        self.folder = folder
        self._keep_last = keep_last
        self._warn = warn

    def save(self, snapshot: Snapshot) -> Path:
        """Commit a snapshot, then remove what retention does not keep. A whole checkpoint of the step is restated.

        Raises:
            DiskError: If it cannot be written; what was there before still is.
        """
        reach("save.start")
        target, need = self.path(snapshot.step), snapshot.num_bytes + OVERHEAD_BYTES
        with disk_errors(self.folder, need=need):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_leftovers()
            if self._is_whole(snapshot.step):
                self.restate(snapshot.step, snapshot.best_step, snapshot.state)
                return target
            require_room(self.folder, need=need)
            self._commit(snapshot, target)
        self._retain(snapshot.step)
        reach("save.end")
        return target

    def require_room(self, num_kept: int, num_bytes: int) -> None:
        """Refuse a folder that cannot be written, or has no room for so many checkpoints beside those that are there.

        Args:
            num_bytes: Of one checkpoint's tensors.

        Raises:
            DiskError: Saying what is needed and what is free.
        """
        num_more = max(1, num_kept - len(self.steps()))
        need = num_more * (num_bytes + OVERHEAD_BYTES)
        with disk_errors(self.folder, need=need):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder):
                free = free_bytes(self.folder)
        if free < need:
            raise DiskFullError(
                f"no room for the checkpoints of this run in {self.folder}: {num_more} more of "
                f"{mebibytes(num_bytes)} need {mebibytes(need)}, {mebibytes(free)} are free; make room, train less of "
                "the model, or name a folder on another disk with runs="
            )

    def restate(self, step: int, best_step: int | None, state: Mapping[str, Any]) -> None:
        """Replace what the checkpoint of this step says beside its tensors, which are the same and stay where they are.

        Raises:
            DiskError: If it cannot be written; what was there before still is.
        """
        reach("restate.start")
        with disk_errors(self.folder, need=OVERHEAD_BYTES):
            rewrite_state(self.path(step), best_step, state)
        self._retain(step)
        reach("restate.end")

    def _commit(self, snapshot: Snapshot, target: Path) -> None:
        partial = self.folder / f".tmp-{target.name}-{_unique()}"
        try:
            partial.mkdir()
            reach("folder.made")
            write_snapshot(partial, snapshot)
            if target.exists():
                # Damaged, and found so when the run was resumed.
                self._discard(target)
            os.rename(partial, target)
            reach("folder.renamed")
            sync(self.folder)
            reach("names.synced")
        except OSError:
            shutil.rmtree(partial, ignore_errors=True)
            raise

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
        return None if step is None else self.manifest(step).best_step

    def path(self, step: int) -> Path:
        """Return a checkpoint's folder."""
        return self.folder / _name(step)

    def manifest(self, step: int) -> Manifest:
        """Return what a checkpoint says of itself. Raises `DamagedCheckpointError` as `verify`."""
        return read_manifest(self.path(step))

    def verify(self, step: int) -> None:
        """Compare a checkpoint's files with its manifest.

        Raises:
            DamagedCheckpointError: If they differ.
        """
        try:
            verify_snapshot(self.path(step), step)
        except OSError as error:
            raise DamagedCheckpointError(f"{_name(step)} cannot be read: {error.strerror}") from error

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
        return read_snapshot(self.path(step))

    def set_aside_after(self, step: int) -> None:
        """Rename checkpoints newer than the one that the run continues from, so that retention does not count them.

        Raises:
            DiskError: If the folder cannot be written.
        """
        with disk_errors(self.folder, need=OVERHEAD_BYTES):
            for newer in self.steps():
                if newer > step:
                    os.rename(self.path(newer), self.folder / f"damaged-{_name(newer)}-{_unique()}")

    def _is_whole(self, step: int) -> bool:
        with suppress(DamagedCheckpointError):
            verify_snapshot(self.path(step), step)
            return True
        return False

    def _retain(self, step: int) -> None:
        """Remove what no longer counts, once the checkpoint of this step has arrived as it was written."""
        try:
            verify_snapshot(self.path(step), step, hashes=False)
            for known in self._superseded(step):
                self._discard(self.path(known))
        except (OSError, DamagedCheckpointError) as error:
            self._warn(f"checkpoints that are no longer needed stay where they are: {error}")

    def _superseded(self, step: int) -> list[int]:
        whole = {known: manifest for known in self.steps() if (manifest := _manifest_or_none(self.path(known)))}
        newest = [known for known in whole if known <= step][: self._keep_last]
        kept = {*newest, *(whole[known].best_step for known in newest)}
        return [known for known in self.steps() if known < step and known not in kept]

    def _discard(self, folder: Path) -> None:
        doomed = folder.with_name(f".del-{folder.name}-{_unique()}")
        reach("retention.before")
        os.rename(folder, doomed)
        reach("retention.renamed")
        # What a file system holds on to for a while goes with the next save.
        with suppress(OSError, StopIteration):
            next(doomed.iterdir()).unlink()
        reach("retention.begun")
        shutil.rmtree(doomed, ignore_errors=True)
        reach("retention.removed")

    def _remove_leftovers(self) -> None:
        for pattern in (".tmp-step-*", ".del-step-*"):
            for leftover in self.folder.glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)


def _manifest_or_none(folder: Path) -> Manifest | None:
    try:
        return read_whole_manifest(folder)
    except (DamagedCheckpointError, OSError):
        return None


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _unique() -> str:
    return uuid.uuid4().hex[:8]
