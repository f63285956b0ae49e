"""An export is in its place whole, or what was there before still is. Imports without torch."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetune.export.preprocessing import FILE_NAME


def require_replaceable(folder: Path) -> None:
    """Refuse a folder that holds something else than an export.

    Raises:
        ValueError: Naming it.
    """
    if not folder.exists() or (folder / FILE_NAME).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise ValueError(f"{folder} is there already and is no export of this project; set to=<another folder>")


@contextmanager
def placed(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which takes the place of `folder` when it is whole.

    An earlier export goes as a whole: a shard of it that stayed would be loaded with the new ones.

    Raises:
        ValueError: As `require_replaceable`.
    """
    require_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = uuid.uuid4().hex[:8]
    partial, earlier = (folder.with_name(f".{state}-{folder.name}-{mark}") for state in ("partial", "earlier"))
    partial.mkdir()
    try:
        yield partial
        if folder.exists():
            folder.rename(earlier)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(earlier, ignore_errors=True)
