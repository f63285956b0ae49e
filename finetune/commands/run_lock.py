"""One training in a run's folder at a time: two would write over each other's checkpoints and metrics."""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

LOCK_FILE = "lock"
# What file systems say that cannot lock: some network disks.
_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder for this process inside the block.

    The kernel lets go when the process ends, however it ends, so no lock outlives a crash. The file stays: deleting it
    could take away the lock of another process that has just opened it.

    Raises:
        ValueError: If another process holds it, saying which; or if a file in it is a link that leads elsewhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _refuse_links(folder)
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
        _take(file, folder)
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        try:
            yield
        finally:
            # Closing alone would not do: a child that this process forked holds the same open file.
            fcntl.flock(file, fcntl.LOCK_UN)


def _refuse_links(folder: Path) -> None:
    """Refuse files of somebody else's making: what is written into them would be written over what they lead to.

    A whole folder (`checkpoints`) may lie on another disk.
    """
    for path in sorted(folder.iterdir()):
        if path.is_symlink() and not path.is_dir() and not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{path} is a link out of the run's folder, to {path.readlink()}; put a copy in its place")


def _take(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        raise ValueError(
            f"{folder} is being trained in by {holder}; wait for its end, stop it, or give this run another name"
        ) from None
    except OSError as error:
        if error.errno not in _CANNOT_LOCK:
            raise
        print(f"warning: the disk of {folder} cannot lock files; do not start this run twice at once", file=sys.stderr)
