"""The images of a folder, such as the frames of a video, in the order that people number them."""

import re
from pathlib import Path

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
_NUMBER = re.compile(r"([0-9]+)")


def images_in(folder: Path) -> list[Path]:
    """Return the image files right in `folder`: frame-2.jpg before frame-10.jpg, and 2.jpg before a.jpg.

    Hidden files, folders and files of other kinds are passed over.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")]
    return sorted((path for path in found if path.is_file()), key=lambda path: _order(path.name))


def _order(name: str) -> tuple[object, ...]:
    # Splitting by numbers gives text and numbers in turns, so that equal places hold equal types.
    parts = _NUMBER.split(name.lower())
    return (*(int(part) if place % 2 else part for place, part in enumerate(parts)), name)
