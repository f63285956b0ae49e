"""The two folders of masks beside Pascal VOC's annotations: PNG files whose pixels are palette indices.

SegmentationObject/a.png    the n-th object of a.xml has the pixels that are n
SegmentationClass/a.png     the n-th label has the pixels that are n, whichever objects they belong to
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from datasets_adapters.label_maps import instances_of_classes, masks_by_number
from datasets_adapters.masks import read_label_map
from datasets_adapters.paths import find_file
from datasets_adapters.rows import RowPlace, quote
from finetune.masks import Mask
from finetune.types import ImageFile, Instance


class VocMasks(Enum):
    """Which masks are read: none, one for each object of the annotation, or one for each class in the image."""

    none = "none"
    objects = "objects"
    classes = "classes"


FOLDERS = {VocMasks.objects: "SegmentationObject", VocMasks.classes: "SegmentationClass"}


def read_object_masks(
    root: Path, name: str, image_size: tuple[int, int], num_objects: int, place: RowPlace
) -> Mapping[int, Mask]:
    """Return the masks by the object's number, from 1; an object that nothing is seen of has none.

    Raises:
        BadSampleError: If the file is missing, of another size, or has more objects than the annotation.
    """
    folder = FOLDERS[VocMasks.objects]
    masks = masks_by_number(_read_map(root / folder, name, image_size, place))
    if masks and max(masks) > num_objects:
        message = f"{quote(f'{name}.png')} has an object {max(masks)}, the annotation has {num_objects}: mend either"
        place.refuse(folder, "too-many-objects", message)
    return masks


def read_class_masks(
    root: Path, name: str, image_size: tuple[int, int], labels: Sequence[str], place: RowPlace
) -> tuple[Instance, ...]:
    """Return an instance for every class in the image.

    Args:
        labels: The classes, in the order of their numbers from 1.

    Raises:
        BadSampleError: If the file is missing, of another size, or has a class without a label.
    """
    folder = FOLDERS[VocMasks.classes]
    return instances_of_classes(_read_map(root / folder, name, image_size, place), labels, folder, place)


def _read_map(folder: Path, name: str, image_size: tuple[int, int], place: RowPlace) -> Shaped[np.ndarray, "h w"]:
    file_name = f"{name}.png"
    if not (folder / file_name).exists():
        message = (
            f"there is no {quote(file_name)} in {folder}: dataset.list_folder=Segmentation lists the images with "
            "masks, data.on_bad_sample=skip leaves out the others"
        )
        place.refuse(folder.name, "missing-file", message)
    found = ImageFile(name=file_name, path=find_file(folder, file_name, folder.name, place))
    return read_label_map(found, image_size, folder.name, place)
