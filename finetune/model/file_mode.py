"""Who may read files with weights: whoever may read any other new file, and not their writer alone."""

from pathlib import Path

_PERMISSIONS = 0o777


def share_tensors(folder: Path, *, like: str) -> None:
    """Give the safetensors files of a folder the permissions of `like`, an ordinary file that was written beside them.

    safetensors writes through a temporary file that only its owner may read, whatever the umask, which on a shared
    disk locks out everyone else.
    """
    wanted = (folder / like).stat().st_mode & _PERMISSIONS
    for path in folder.glob("*.safetensors"):
        # A disk without permissions of its own shows the same ones for all files, and refuses to change them.
        if path.stat().st_mode & _PERMISSIONS != wanted:
            path.chmod(wanted)
