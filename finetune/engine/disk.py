"""What a disk refuses, said with the folder, the need and what is free."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetune.engine.stops import DiskError, DiskFullError

# No space, over a quota, over the largest file that this process may write.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (*_FULL, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM)


@contextmanager
def disk_errors(folder: Path, *, need: int) -> Iterator[None]:
    """Turn the system's errors inside the block into those that end a run.

    Args:
        need: Bytes that the block writes.

    Raises:
        DiskFullError: If there is no room for them.
        DiskError: If the disk refuses for another reason.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(folder, need, error.strerror) from error
        raise DiskError(
            f"nothing can be saved in {folder}: {error.strerror or error}. What was saved before is still there; mend "
            "the disk, or its permissions, and start the same command again"
        ) from error


@contextmanager
def folder_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk of a run's folder refuses inside the block into the error that ends a run.

    Raises:
        DiskError: For errors that speak of the disk or of permissions; others come through as they are.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        raise DiskError(f"{folder}: the disk refuses: {error}; mend that and start the same command again") from error


def require_room(folder: Path, *, need: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        DiskFullError: Saying how much is free.
    """
    if free_bytes(folder) < need:
        raise disk_full(folder, need, None)


def disk_full(folder: Path, need: int, reason: str | None) -> DiskFullError:
    """Return the error for a folder without room.

    Args:
        reason: The system's word for it: a quota or a limit can be reached on a disk that has room.
    """
    free = free_bytes(folder)
    said = "" if reason is None else f" ({reason})"
    return DiskFullError(
        f"no room for a checkpoint in {folder}{said}: it needs {mebibytes(need)}, {mebibytes(free)} are free. The last "
        "good checkpoint is still there; make room and start the same command again"
    )


def free_bytes(folder: Path) -> int:
    """Return what is free for this user on the disk of a folder, or of the nearest one above it that exists."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    return shutil.disk_usage(existing).free


def mebibytes(num_bytes: float) -> str:
    """Say a number of bytes in MiB."""
    return f"{num_bytes / 2**20:,.0f} MiB"
