"""Masks as data sets write them: polygons, COCO run lengths, or PNG files beside the image.

[[x1, y1, x2, y2, x3, y3, …], …]              polygons in pixels; one alone may stand without the outer list
{"size": [height, width], "counts": [4, 2, …]}   run lengths, column by column, background first
{"size": [height, width], "counts": "PYZ0…"}     the same, compressed
{"png": "masks/7.png"}                        a grey image of the same size; everything but 0 is inside
{"label_map": "maps/7.png", "value": 3}       one image for many masks: its pixels that are 3 (grey or palette index)
{"label_map": "maps/7.png", "value": [0, 128, 64]}   the same for a map in colour: [red, green, blue]
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image
from pycocotools import mask as coco_mask

from datasets_adapters.paths import content_of, find_file
from datasets_adapters.rows import RowPlace, check_fields, quote, read_number
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import ImageBytes, ImageFile

# Drawing a polygon takes memory in proportion to its outline, so one far outside the image is refused, not clipped.
_FARTHEST_OUTSIDE = 1.0
_GREY_MODES = ("1", "L", "P", "I", "I;16")
_LABEL_MAP_FIELDS = ("label_map", "value")


def read_mask(
    value: object, image_size: tuple[int, int], mask_folder: Path | None, field_name: str, place: RowPlace
) -> Mask:
    """Read one mask.

    Args:
        image_size: (height, width) that the mask must have.
        mask_folder: Where PNG masks lie; None where the format knows none.

    Raises:
        BadSampleError: If the mask is malformed, of another size, or empty.
    """
    if isinstance(value, list | tuple):
        mask = _read_polygons(value, image_size, field_name, place)
    elif isinstance(value, Mapping) and "png" in value and mask_folder is not None:
        check_fields(value, ("png",), f"{field_name}.", place)
        png = _find_png(value["png"], mask_folder, f"{field_name}.png", place)
        mask = read_png_mask(png, image_size, f"{field_name}.png", place)
    elif isinstance(value, Mapping) and "label_map" in value and mask_folder is not None:
        check_fields(value, _LABEL_MAP_FIELDS, f"{field_name}.", place)
        mask = _read_label_map(value, image_size, mask_folder, field_name, place)
    elif isinstance(value, Mapping):
        check_fields(value, ("size", "counts"), f"{field_name}.", place)
        mask = _read_run_lengths(value, image_size, field_name, place)
    else:
        place.refuse(field_name, "wrong-type", f"must be polygons, run lengths or a file, got {quote(value)}")
    if mask.area_pixels == 0:
        place.refuse(field_name, "empty-mask", "covers no pixel: remove the object or mend its mask")
    return mask


def _read_polygons(value: Sequence[object], image_size: tuple[int, int], field_name: str, place: RowPlace) -> Mask:
    polygons = value if value and isinstance(value[0], list | tuple) else [value]
    height, width = image_size
    corners = [_read_polygon(polygon, f"{field_name}[{index}]", place) for index, polygon in enumerate(polygons)]
    for index, polygon in enumerate(corners):
        xy = np.array(polygon).reshape(-1, 2)
        limits = np.array([width, height])
        if (xy < -_FARTHEST_OUTSIDE * limits).any() or (xy > (1 + _FARTHEST_OUTSIDE) * limits).any():
            message = f"a corner lies far outside the {width} x {height} image: are these pixels, x before y?"
            place.refuse(f"{field_name}[{index}]", "polygon-outside-image", message)
    return Mask.from_polygons(corners, image_size=image_size)


def _read_polygon(value: object, field_name: str, place: RowPlace) -> list[float]:
    if not isinstance(value, list | tuple):
        place.refuse(field_name, "wrong-type", f"must be a list of numbers, got {quote(value)}")
    if len(value) < 6 or len(value) % 2:
        message = f"a polygon needs three or more x, y pairs, got {len(value)} numbers"
        place.refuse(field_name, "short-polygon", message)
    return [read_number(number, f"{field_name}[{index}]", place) for index, number in enumerate(value)]


def _read_run_lengths(
    value: Mapping[str, object], image_size: tuple[int, int], field_name: str, place: RowPlace
) -> Mask:
    height, width = image_size
    size = value.get("size")
    if not isinstance(size, list | tuple) or list(size) != [height, width]:
        message = f"must be the image's own [height, width], [{height}, {width}], got {quote(size)}"
        place.refuse(f"{field_name}.size", "mask-size", message)
    counts = value.get("counts")
    if isinstance(counts, str | bytes):
        counts = _decompress(counts, f"{field_name}.counts", place)
    if not isinstance(counts, list | tuple) or not all(type(run) is int for run in counts):
        place.refuse(f"{field_name}.counts", "run-lengths", f"must be whole numbers or a string, got {quote(counts)}")
    try:
        return Mask.from_run_lengths(list(counts), image_size=image_size)
    except ValueError as error:
        place.refuse(f"{field_name}.counts", "run-lengths", f"{error}")


def _decompress(text: str | bytes, field_name: str, place: RowPlace) -> list[int]:
    """Read COCO's compressed run lengths in Python, because the C reader trusts its input.

    Each character carries five bits, lowest first, and a continuation bit; from the fourth on, a run is written as the
    difference to the run two before it.

    Source:
        pycocotools, maskApi.c, `rleFrString`.
    """
    codes = text.encode("utf-8", "replace") if isinstance(text, str) else text
    runs: list[int] = []
    number, shift = 0, 0
    for code in codes:
        chunk = code - 48
        if not 0 <= chunk < 64 or shift > 60:
            place.refuse(field_name, "run-lengths", "is no compressed run-length string: export the mask again")
        number |= (chunk & 0x1F) << shift
        shift += 5
        if chunk & 0x20:
            continue
        if chunk & 0x10:
            number -= 1 << shift
        runs.append(number + runs[-2] if len(runs) > 2 else number)
        number, shift = 0, 0
    if shift:
        place.refuse(
            field_name, "run-lengths", "is a compressed run-length string that was cut off: export the mask again"
        )
    return runs


def box_of_mask(mask: Mask) -> Box:
    """Return the smallest box around the pixels of a mask that has some."""
    x, y, width, height = coco_mask.toBbox({"size": [mask.height, mask.width], "counts": mask.counts}).tolist()
    return Box.from_xywh_pixels(x, y, width, height, image_size=(mask.height, mask.width))


def read_label_map(
    png: ImageFile | ImageBytes,
    image_size: tuple[int, int],
    field_name: str,
    place: RowPlace,
    *,
    modes: Sequence[str] = _GREY_MODES,
) -> Shaped[np.ndarray, "h w *channels"]:
    """Return the values of a PNG, one a pixel (palette indices as they are), or three of a map in colour.

    Args:
        image_size: (height, width) that it must have.
        modes: Pillow's names of what the values may be.

    Raises:
        BadSampleError: If it cannot be read, has another size, or other values.
    """
    height, width = image_size
    try:
        with Image.open(content_of(png), formats=("PNG",)) as image:
            if image.size != (width, height):
                sizes = f"{image.width} x {image.height}, its image is {width} x {height}"
                message = f"{quote(png.name)} is {sizes}: export both alike"
                place.refuse(field_name, "mask-size", message)
            if image.mode not in modes:
                form = "a grey or palette PNG" if modes == _GREY_MODES else f"a PNG of mode {' or '.join(modes)}"
                place.refuse(field_name, "mask-mode", f"{quote(png.name)} has mode {image.mode}; it must be {form}")
            return np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        place.refuse(field_name, "unreadable-image", f"{quote(png.name)} cannot be read as PNG: {error}")


def read_png_mask(png: ImageFile | ImageBytes, image_size: tuple[int, int], field_name: str, place: RowPlace) -> Mask:
    """Return the mask that a grey or palette PNG shows: everything but 0 is inside. It may be empty.

    Raises:
        BadSampleError: As `read_label_map`.
    """
    return Mask.from_array((read_label_map(png, image_size, field_name, place) != 0).astype(np.uint8))


def _read_label_map(
    value: Mapping[str, object], image_size: tuple[int, int], folder: Path, field_name: str, place: RowPlace
) -> Mask:
    png = _find_png(value["label_map"], folder, f"{field_name}.label_map", place)
    wanted = value.get("value")
    colour = wanted if isinstance(wanted, list | tuple) and len(wanted) == 3 else None
    if not all(type(number) is int and number >= 0 for number in colour or [wanted]):
        message = f"must be a whole number, or [red, green, blue] of a map in colour, got {quote(wanted)}"
        place.refuse(f"{field_name}.value", "wrong-type", message)
    modes = _GREY_MODES if colour is None else ("RGB",)
    values = read_label_map(png, image_size, f"{field_name}.label_map", place, modes=modes)
    is_inside = values == wanted if colour is None else (values == np.array(colour)).all(axis=-1)
    if not is_inside.any():
        message = f"no pixel of {quote(png.name)} has this value: remove the object or mend its map"
        place.refuse(f"{field_name}.value", "empty-mask", message)
    return Mask.from_array(is_inside.astype(np.uint8))


def _find_png(value: object, folder: Path, field_name: str, place: RowPlace) -> ImageFile:
    if not isinstance(value, str):
        place.refuse(field_name, "wrong-type", f"must be a file name, got {quote(value)}")
    return ImageFile(name=value, path=find_file(folder, value, field_name, place))
