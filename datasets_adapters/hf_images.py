"""Images in cells of the `datasets` library: encoded in the row, or named by it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets_adapters.paths import find_file
from datasets_adapters.rows import RowPlace, quote
from finetune.types import ImageBytes, ImageFile


def read_image(value: Any, folder: Path | None, field_name: str, place: RowPlace) -> ImageBytes | ImageFile:
    """Return the image of a cell, undecoded.

    Args:
        value: {"bytes": …, "path": …} as the library stores images, or a file's name.
        folder: Where files named by rows must lie; None for the hub.

    Raises:
        BadSampleError: If the cell holds none, or its file is not where it may be.
    """
    if isinstance(value, str):
        value = {"path": value}
    if not isinstance(value, Mapping):
        place.refuse(field_name, "wrong-type", f"must be an image or a file name, got {quote(value)}")
    if value.get("bytes") is not None:
        return ImageBytes(name=str(value.get("path") or field_name), data=value["bytes"])
    path = value.get("path")
    if not isinstance(path, str):
        place.refuse(field_name, "missing-field", "holds neither bytes nor a file name")
    if folder is None:
        return ImageFile(name=path, path=_downloaded(path, field_name, place))
    # `datasets` makes the names of its image folders absolute; inside the folder they are as good as relative.
    if os.path.isabs(path) and Path(path).is_relative_to(folder.absolute()):
        path = os.path.relpath(path, folder.absolute())
    return ImageFile(name=path, path=find_file(folder, path, field_name, place))


def read_images(
    value: Any, folder: Path | None, field_name: str, place: RowPlace
) -> tuple[ImageBytes | ImageFile, ...]:
    """Return the images of a cell that holds one or a list of them, in order.

    Raises:
        BadSampleError: As `read_image`, or if the list is empty.
    """
    if not isinstance(value, list):
        return (read_image(value, folder, field_name, place),)
    if not value:
        place.refuse(field_name, "missing-field", "holds an empty list: a row needs at least one image")
    return tuple(read_image(one, folder, f"{field_name}[{number}]", place) for number, one in enumerate(value))


def _downloaded(path: str, field_name: str, place: RowPlace) -> Path:
    """Return a file that `datasets` fetched from the hub: it lies in one of the caches, and nowhere else."""
    import datasets
    import huggingface_hub

    real = Path(os.path.realpath(path))
    caches = (
        datasets.config.HF_DATASETS_CACHE,
        datasets.config.DOWNLOADED_DATASETS_PATH,
        huggingface_hub.constants.HF_HUB_CACHE,
    )
    if not any(real.is_relative_to(os.path.realpath(cache)) for cache in caches) or not real.is_file():
        message = f"{quote(path)} is no downloaded file: the rows must hold the images"
        place.refuse(field_name, "path-outside-folder", message)
    return real
