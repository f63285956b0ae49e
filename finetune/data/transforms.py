"""EXIF orientation, for pixels, boxes and masks alike.

A camera stores the sensor's rows and notes how to turn them. People see (and usually annotate) the turned image, some
tools annotate the stored one. Each of the eight orientations is a transposition followed by flips:

    1 as stored    2 mirrored          3 half turn                 4 upside down
    5 transposed   6 quarter turn cw   7 transposed the other way  8 quarter turn ccw

Source:
    Exif 2.32, tag 0x0112.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.settings import BoxSpace
from finetune.types import BadSampleError, Instance, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What to do, in this order."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False


_TURNS = {
    1: _Turn(),
    2: _Turn(flip_columns=True),
    3: _Turn(flip_rows=True, flip_columns=True),
    4: _Turn(flip_rows=True),
    5: _Turn(transpose=True),
    6: _Turn(transpose=True, flip_columns=True),
    7: _Turn(transpose=True, flip_rows=True, flip_columns=True),
    8: _Turn(transpose=True, flip_rows=True),
}
ORIENTATIONS = tuple(_TURNS)


def orient_pixels(pixels: UInt8[np.ndarray, "h w *channels"], orientation: int) -> UInt8[np.ndarray, "h2 w2 *channels"]:
    """Turn stored pixels as people see them. `orientation` is one of 1..8."""
    turn = _TURNS[orientation]
    if turn.transpose:
        pixels = pixels.swapaxes(0, 1)
    if turn.flip_rows:
        pixels = pixels[::-1]
    if turn.flip_columns:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def orient_box(box: Box, orientation: int) -> Box:
    """Turn a box that was drawn on the stored image."""
    turn = _TURNS[orientation]
    top, left, bottom, right = box.top, box.left, box.bottom, box.right
    if turn.transpose:
        top, left, bottom, right = left, top, right, bottom
    if turn.flip_rows:
        top, bottom = 1 - bottom, 1 - top
    if turn.flip_columns:
        left, right = 1 - right, 1 - left
    return Box(top=top, left=left, bottom=bottom, right=right)


def orient_size(image_size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return the (height, width) that people see of a stored (height, width), or the other way round."""
    height, width = image_size
    return (width, height) if _TURNS[orientation].transpose else (height, width)


def orient_sample(sample: Sample, *, oriented_size: tuple[int, int], orientation: int, drawn_on: BoxSpace) -> Sample:
    """Return the sample with its annotations on the image as people see it, and with its size filled in.

    Args:
        oriented_size: (height, width) of the first image, turned.
        orientation: How it was turned from what is stored.
        drawn_on: Which of the two the annotations refer to.

    Raises:
        BadSampleError: "image-size-mismatch" or "mask-size-mismatch" if they were drawn on an image of another size;
            "cannot-turn-text" if location tokens in ready-made text would have to be turned.
    """
    annotated = oriented_size if drawn_on is BoxSpace.oriented else orient_size(oriented_size, orientation)
    _check_sizes(sample, annotated, drawn_on)
    if drawn_on is BoxSpace.oriented or orientation == 1:
        return replace(sample, image_size=oriented_size)
    if any("<loc" in (text or "") for text in (sample.prefix, sample.suffix)):
        raise _refusal(
            sample, "suffix", "cannot-turn-text", "location tokens in ready-made text refer to the stored image"
        )
    return replace(sample, image_size=oriented_size, instances=_orient_instances(sample.instances, orientation))


def _orient_instances(instances: Sequence[Instance] | None, orientation: int) -> tuple[Instance, ...] | None:
    if instances is None:
        return None
    return tuple(
        replace(
            instance,
            box=orient_box(instance.box, orientation),
            mask=instance.mask and Mask.from_array(orient_pixels(instance.mask.to_array(), orientation)),
        )
        for instance in instances
    )


def _check_sizes(sample: Sample, annotated: tuple[int, int], drawn_on: BoxSpace) -> None:
    """Refuse annotations of another image: a resized copy, another file, or the other orientation."""
    is_or_was = f"the {drawn_on.value} image is {annotated[1]} x {annotated[0]} (width x height)"
    if sample.image_size is not None and sample.image_size != annotated:
        height, width = sample.image_size
        hint = "use the annotated file"
        if (width, height) == annotated:
            hint = "if they were drawn on the other orientation, change data.boxes_drawn_on"
        message = f"annotations are for {width} x {height}, {is_or_was}; {hint}"
        raise _refusal(sample, "image_size", "image-size-mismatch", message)
    for number, instance in enumerate(sample.instances or ()):
        if instance.mask and (instance.mask.height, instance.mask.width) != annotated:
            message = f"the mask is {instance.mask.width} x {instance.mask.height}, {is_or_was}"
            raise _refusal(sample, f"masks[{number}]", "mask-size-mismatch", message)


def _refusal(sample: Sample, field_name: str, code: str, message: str) -> BadSampleError:
    return BadSampleError(
        origin=sample.origin, sample_id=sample.sample_id, field_name=field_name, code=code, message=message
    )
