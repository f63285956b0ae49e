"""From a file's name in a row to the file, without ever leaving the data set's own folder."""

import errno
import io
import os
import re
import stat
import warnings
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from typing import NoReturn

from PIL import Image

from datasets_adapters.rows import RowPlace, is_unicode, quote
from finetune.data.image_folder import images_in
from finetune.types import IMAGE_FORMATS, ImageBytes, ImageFile

# Stands for the split's name in settings that hold paths. Hydra and shells take it unquoted, unlike braces.
SPLIT = "@split"

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+://|data:)")
_LONGEST_NAME = 1024
_ADVICE = "give a path relative to its folder"
_EXIF_ORIENTATION = 0x0112
_FIRST_ORIENTATION_THAT_SWAPS_SIDES = 5


def existing_folder(setting: str, path: Path) -> Path:
    """Return the path of a folder that is there.

    Raises:
        ValueError: If it is not, naming the setting.
    """
    if not path.is_dir():
        raise ValueError(f"{setting}: there is no folder {path} (seen from {Path.cwd()})")
    return path


def existing_file(setting: str, path: Path) -> Path:
    """Return the path of a file that is there.

    Raises:
        ValueError: If it is not, naming the setting.
    """
    if not path.is_file():
        raise ValueError(f"{setting}: there is no file {path} (seen from {Path.cwd()})")
    return path


def check_case(names: Iterable[str], where: str) -> None:
    """Refuse two names that differ in upper and lower case alone: on many file systems they are one file.

    Args:
        where: What lists the names, for the message.

    Raises:
        ValueError: Naming the first such pair. The same name twice is no pair.
    """
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise ValueError(f"{where}: {other!r} and {name!r} differ in upper and lower case alone: rename one")


def find_file(folder: Path, name: str, field_name: str, place: RowPlace) -> Path:
    """Return the file that a row names, a regular one inside `folder`.

    Raises:
        BadSampleError: If the name could lead elsewhere (absolute, `..`, `~`, an address, a link out of the folder), or
            no such file is there.
    """
    path, mode = _find(folder, name, field_name, place)
    if not stat.S_ISREG(mode):
        place.refuse(field_name, "not-a-file", f"{quote(name)} is not a regular file: {_ADVICE}")
    return path


def find_frames(folder: Path, name: str, field_name: str, place: RowPlace) -> list[str]:
    """Return the images of a folder that a row names, in the order of their numbers, as names seen from `folder`.

    Raises:
        BadSampleError: As `find_file`, or if the folder holds no image.
    """
    path, mode = _find(folder, name, field_name, place)
    if not stat.S_ISDIR(mode):
        place.refuse(field_name, "not-a-folder", f"{quote(name)} is not a folder: name the one that holds the frames")
    names = [str(image.relative_to(folder)) for image in images_in(path)]
    if not names:
        place.refuse(field_name, "no-frames", f"{quote(name)} holds no image: check the folder")
    return names


def stored_size(image: ImageFile | ImageBytes, field_name: str, place: RowPlace) -> tuple[int, int]:
    """Return (height, width) from an image's header, for boxes in pixels whose row gives no size.

    Raises:
        BadSampleError: If the header cannot be read, or if EXIF turns the image on its side: then the row itself must
            say which of the two sizes its boxes were drawn on.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(content_of(image), formats=IMAGE_FORMATS) as header:
                width, height = header.size
                orientation = header.getexif().get(_EXIF_ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        place.refuse(field_name, "unreadable-image", f"{quote(image.name)} has no readable header: {error}")
    if orientation >= _FIRST_ORIENTATION_THAT_SWAPS_SIDES:
        message = (
            f"{quote(image.name)} is turned by EXIF: give the row the width and height that its boxes were drawn on, "
            "which data.boxes_drawn_on must fit"
        )
        place.refuse(field_name, "ambiguous-orientation", message)
    return height, width


def content_of(image: ImageFile | ImageBytes) -> Path | io.BytesIO:
    """Return what Pillow opens."""
    return image.path if isinstance(image, ImageFile) else io.BytesIO(image.data)


def _find(folder: Path, name: str, field_name: str, place: RowPlace) -> tuple[Path, int]:
    """Return what a row names, inside `folder`, and what kind it is (`st_mode`)."""
    _check_name(name, field_name, place)
    path = folder / name
    try:
        real = os.path.realpath(path, strict=True)
        mode = os.stat(real).st_mode
    except OSError as error:
        _refuse_unreadable(folder, name, error, field_name, place)
    if not Path(real).is_relative_to(os.path.realpath(folder)):
        place.refuse(field_name, "path-outside-folder", f"{quote(name)} is a link that leaves {folder}: copy the file")
    return path, mode


def _check_name(name: str, field_name: str, place: RowPlace) -> None:
    if not name.strip():
        place.refuse(field_name, "empty-path", f"is empty: {_ADVICE}")
    if not is_unicode(name):
        place.refuse(field_name, "lone-surrogate", f"{quote(name)} is no Unicode: rename the file")
    if "\0" in name:
        place.refuse(field_name, "nul-in-path", f"{quote(name)} holds a NUL character: {_ADVICE}")
    if len(name) > _LONGEST_NAME:
        message = f"{quote(name)} has {len(name)} characters, over {_LONGEST_NAME}: {_ADVICE}"
        place.refuse(field_name, "path-too-long", message)
    if _URL.match(name):
        place.refuse(field_name, "url-path", f"{quote(name)} is an address: download the file first, then {_ADVICE}")
    if name.startswith("~"):
        place.refuse(field_name, "home-path", f"{quote(name)} starts with '~': {_ADVICE}")
    if name.startswith("/") or PureWindowsPath(name).drive or PureWindowsPath(name).root:
        place.refuse(field_name, "absolute-path", f"{quote(name)} is absolute: {_ADVICE}")
    if ".." in re.split(r"[/\\]", name):
        place.refuse(field_name, "path-escape", f"{quote(name)} climbs out with '..': {_ADVICE}")


def _refuse_unreadable(folder: Path, name: str, error: OSError, field_name: str, place: RowPlace) -> NoReturn:
    if error.errno == errno.ELOOP:
        place.refuse(field_name, "link-loop", f"{quote(name)} is a link that leads to itself: copy the file")
    if error.errno == errno.ENAMETOOLONG:
        place.refuse(field_name, "path-too-long", f"{quote(name)} is longer than the file system allows: {_ADVICE}")
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        place.refuse(
            field_name, "unreadable-file", f"{quote(name)} cannot be read: {error.strerror}: check permissions"
        )
    twin = _differs_in_case(folder / name)
    hint = f"did you mean {twin!r}?" if twin else "check the folder and the name"
    place.refuse(field_name, "missing-file", f"there is no {quote(name)} in {folder}: {hint}")


def _differs_in_case(path: Path) -> str | None:
    """Return a file of the same folder whose name differs in upper and lower case alone."""
    try:
        names = os.listdir(path.parent)
    except OSError:
        return None
    return next((name for name in names if name.casefold() == path.name.casefold()), None)
