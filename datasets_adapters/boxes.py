"""Boxes as data sets write them: four numbers whose order and unit somebody has to declare.

xyxy_pixels   [left, top, right, bottom]          pixels
xywh_pixels   [left, top, width, height]          pixels (COCO)
cxcywh_*      [centre x, centre y, width, height] (YOLO: cxcywh_fraction)
yxyx_bins     [top, left, bottom, right]          location bins 0..1023 (PaliGemma)
"""

from enum import Enum

from datasets_adapters.rows import RowPlace, quote, read_number
from finetune.geometry import Box

_NUM_BINS = 1024

# Annotators round, and some count pixels from 1: so much over the edge is clipped without a word.
_SLACK_PIXELS = 1.0
_SLACK_FRACTION = 0.005


class BoxFormat(Enum):
    """Order and unit of a box's four numbers."""

    xyxy_pixels = "xyxy_pixels"
    yxyx_pixels = "yxyx_pixels"
    xywh_pixels = "xywh_pixels"
    cxcywh_pixels = "cxcywh_pixels"
    xyxy_fraction = "xyxy_fraction"
    yxyx_fraction = "yxyx_fraction"
    xywh_fraction = "xywh_fraction"
    cxcywh_fraction = "cxcywh_fraction"
    xyxy_bins = "xyxy_bins"
    yxyx_bins = "yxyx_bins"

    @property
    def order(self) -> str:
        """What the numbers stand for: xyxy, yxyx, xywh or cxcywh."""
        return self.value.split("_")[0]

    @property
    def unit(self) -> str:
        """What the numbers count: pixels, fraction or bins."""
        return self.value.split("_")[1]


class BadBoxes(Enum):
    """Refuse a row with a box that leaves the image or is empty; or clip such boxes and drop those that vanish.

    What is clipped or dropped is counted in the sample's notes.
    """

    refuse = "refuse"
    repair = "repair"


def read_box(
    value: object,
    box_format: BoxFormat,
    image_size: tuple[int, int] | None,
    field_name: str,
    place: RowPlace,
    *,
    bad_boxes: BadBoxes,
) -> Box | None:
    """Read one box; None where `bad_boxes` is repair and nothing of it is left.

    Args:
        image_size: (height, width); only pixels need it.

    Raises:
        BadSampleError: If it is not four finite numbers, its corners are swapped, it leaves the image, it is empty, or
            its numbers cannot be of the declared unit.
    """
    if not isinstance(value, list | tuple) or len(value) != 4:
        place.refuse(
            field_name, "box-length", f"must be a list of four numbers ({box_format.value}), got {quote(value)}"
        )
    numbers = [read_number(number, f"{field_name}[{index}]", place) for index, number in enumerate(value)]
    _check_unit(numbers, box_format, field_name, place)
    left, top, right, bottom = _corners(numbers, box_format.order)
    if right < left or bottom < top:
        message = f"{quote(value)} has swapped corners or a negative size: is {box_format.value} its real format?"
        place.refuse(field_name, "inverted-box", message)
    height, width = _extent(box_format, image_size, field_name, place)
    is_inside = _is_inside((left, top, right, bottom), (height, width), box_format)
    if not is_inside and bad_boxes is BadBoxes.refuse:
        message = (
            f"box from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) leaves the {width} x {height} image: check "
            f"{box_format.value}, or set dataset.bad_boxes=repair to clip"
        )
        place.refuse(field_name, "box-outside-image", message)
    if right <= 0 or bottom <= 0 or left >= width or top >= height or right == left or bottom == top:
        if bad_boxes is BadBoxes.refuse:
            message = f"{quote(value)} covers nothing of the image: remove it, or set dataset.bad_boxes=repair"
            place.refuse(field_name, "empty-box", message)
        place.notes["boxes left out: nothing of them is in the image"] += 1
        return None
    if not is_inside:
        place.notes["boxes clipped to the image"] += 1
    return Box.from_xyxy_pixels(left, top, right, bottom, image_size=(height, width))


def _check_unit(numbers: list[float], box_format: BoxFormat, field_name: str, place: RowPlace) -> None:
    """Refuse numbers that only another unit explains."""
    if box_format.unit == "pixels" and max(numbers) <= 1:
        message = f"{quote(numbers)} is declared in pixels and looks like fractions: set the box format"
        place.refuse(field_name, "fraction-in-pixels", message)
    if box_format.unit == "fraction" and max(numbers) > 2:
        message = f"{quote(numbers)} is declared in fractions and looks like pixels: set the box format"
        place.refuse(field_name, "pixels-in-fraction", message)
    if box_format.unit == "bins" and any(number % 1 or not 0 <= number < _NUM_BINS for number in numbers):
        message = f"{quote(numbers)} must be whole location bins from 0 to {_NUM_BINS - 1}"
        place.refuse(field_name, "bin-out-of-range", message)


def _corners(numbers: list[float], order: str) -> tuple[float, float, float, float]:
    first, second, third, fourth = numbers
    match order:
        case "xyxy":
            return first, second, third, fourth
        case "yxyx":
            return second, first, fourth, third
        case "xywh":
            return first, second, first + third, second + fourth
        case _:
            return first - third / 2, second - fourth / 2, first + third / 2, second + fourth / 2


def _extent(
    box_format: BoxFormat, image_size: tuple[int, int] | None, field_name: str, place: RowPlace
) -> tuple[int, int]:
    """Return (height, width) of the image in the box's own unit."""
    if box_format.unit == "fraction":
        return 1, 1
    if box_format.unit == "bins":
        return _NUM_BINS - 1, _NUM_BINS - 1
    if image_size is None:
        place.refuse(field_name, "unknown-size", "is in pixels of an image of unknown size: give width and height")
    return image_size


def _is_inside(corners: tuple[float, float, float, float], extent: tuple[int, int], box_format: BoxFormat) -> bool:
    left, top, right, bottom = corners
    height, width = extent
    slack = _SLACK_PIXELS if box_format.unit == "pixels" else _SLACK_FRACTION
    return min(left, top) >= -slack and right <= width + slack and bottom <= height + slack
