"""A disk of a few megabytes that only this process and its children see.

The process gets mounts of its own, so that nothing appears on the machine and nothing stays behind: a tmpfs goes with
the last process that sees it.
"""

import ctypes
import errno
import os
from pathlib import Path

# Linux: linux/sched.h and linux/mount.h.
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 16384, 1 << 18
_BLOCKS = (1 << 20, 1 << 12, 1)
BALLAST = "ballast"


def mount_small_disk(folder: Path, num_bytes: int) -> None:
    """Put an empty disk of so many bytes at `folder`, for this process and those that it forks.

    Raises:
        OSError: If the system does not let this user.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.geteuid(), os.getegid()
    is_root = user == 0
    _check(libc.unshare(_CLONE_NEWNS if is_root else _CLONE_NEWNS | _CLONE_NEWUSER), "unshare")
    if not is_root:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            Path("/proc/self", name).write_text(text)
    _check(libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")
    options = f"size={num_bytes}".encode()
    _check(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, options), "mount")


def make_read_only(folder: Path) -> None:
    """Let nothing be written any more to a disk that `mount_small_disk` has made."""
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _MS_REMOUNT | _MS_RDONLY, None), "mount")


def fill(folder: Path) -> None:
    """Write until not one byte more fits."""
    with (folder / BALLAST).open("ab", buffering=0) as file:
        for size in _BLOCKS:
            block = bytes(size)
            try:
                while True:
                    file.write(block)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def make_room(folder: Path) -> None:
    """Take away what `fill` wrote."""
    (folder / BALLAST).unlink(missing_ok=True)


def _check(returned: int, what: str) -> None:
    if returned != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
