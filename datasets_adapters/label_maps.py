"""Images whose pixels are numbers: of an image's objects, or of a data set's classes. Two numbers are nobody's:

0      what lies behind everything
255    a border, or what the annotators did not decide on ("void", "ignore")
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Shaped

from datasets_adapters.masks import box_of_mask
from datasets_adapters.rows import RowPlace
from finetune.masks import Mask
from finetune.types import Instance

NOBODY = (0, 255)


def masks_by_number(values: Shaped[np.ndarray, "h w"]) -> Mapping[int, Mask]:
    """Return a mask for every number in a map but those that are nobody's, smallest number first."""
    numbers = [int(number) for number in np.unique(values) if number not in NOBODY]
    return {number: Mask.from_array((values == number).astype(np.uint8)) for number in numbers}


def instances_of_classes(
    values: Shaped[np.ndarray, "h w"], labels: Sequence[str], field_name: str, place: RowPlace
) -> tuple[Instance, ...]:
    """Return one instance for every class in a map: all its pixels, and the box around them.

    Args:
        labels: The classes, in the order of their numbers from 1.

    Raises:
        BadSampleError: If a number has no label.
    """
    masks = masks_by_number(values)
    if masks and max(masks) > len(labels):
        message = (
            f"holds pixels of class {max(masks)}, and dataset.labels lists {len(labels)}: list them all, in the order "
            "of the map's numbers from 1"
        )
        place.refuse(field_name, "unknown-class", message)
    return tuple(Instance(label=labels[number - 1], box=box_of_mask(mask), mask=mask) for number, mask in masks.items())
