"""Which rows of a source show the same image, so that they can come together and the image be read once."""

import hashlib

import numpy as np

from finetune.data.order import Groups
from finetune.types import BadSampleError, ImageBytes, ImageFile, ImageReference, OutlinedImage, Source


def group_by_image(source: Source) -> Groups:
    """Find the rows with the same images, reading each row once, without decoding an image.

    Files are told apart by path, images in memory by content. A row that cannot be read is a group of its own.

    Raises:
        ValueError: If the source can only be read forwards.
    """
    if source.block_size is not None:
        raise ValueError(
            "data.keep_images_together=true needs a data set that can be read in any order; set it to false, or write "
            "the rows of one image next to each other"
        )
    numbers: dict[tuple[str, ...], int] = {}
    return Groups.of(
        np.array(
            [numbers.setdefault(_images_of(source, row), len(numbers)) for row in range(len(source))], dtype=np.int64
        )
    )


def _images_of(source: Source, row: int) -> tuple[str, ...]:
    try:
        return tuple(_key(image) for image in source[row].images)
    except BadSampleError:
        return ("", str(row))


def _key(image: ImageReference) -> str:
    if isinstance(image, OutlinedImage):
        return f"{_key(image.image)} {image.box} {image.color}"
    if isinstance(image, ImageFile):
        return f"file {image.path}"
    content = image.data if isinstance(image, ImageBytes) else f"{image.pixels.shape}".encode() + image.pixels.tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()
