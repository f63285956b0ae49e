"""What every format with objects reads alike: a known label, expressions, and a box, which may be the mask's own."""

from collections.abc import Collection, Mapping

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.masks import box_of_mask
from datasets_adapters.rows import RowPlace, quote, read_text
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.names import hint


def read_label(value: object, labels: Collection[str], field_name: str, place: RowPlace) -> str:
    """Return an object's label.

    Args:
        labels: Every label of the data set.

    Raises:
        BadSampleError: If it is no text, or not among them.
    """
    label = read_text(value, field_name, place)
    if label not in labels:
        message = f"{quote(label)} is not among dataset.labels; {hint(label, labels)}"
        place.refuse(field_name, "unknown-label", message)
    return label


def read_expressions(value: object, field_name: str, place: RowPlace) -> tuple[str, ...]:
    """Return what an object is called in words, each expression once.

    Args:
        value: Text, a list of texts, or of RefCOCO's sentences ({"raw": …, "sent": …}).

    Raises:
        BadSampleError: If there is none, or one is no text.
    """
    values = value if isinstance(value, list | tuple) else [value]
    if value is None or not values:
        message = "holds no expression: describe the object in words, or leave it out"
        place.refuse(field_name, "missing-expression", message)
    texts = [_text_of(one) if isinstance(one, Mapping) else one for one in values]
    named = [read_text(text, f"{field_name}[{number}]", place) for number, text in enumerate(texts)]
    return tuple(dict.fromkeys(named))


def read_own_box(
    value: object,
    mask: Mask | None,
    box_format: BoxFormat,
    image_size: tuple[int, int] | None,
    field_name: str,
    place: RowPlace,
    *,
    bad_boxes: BadBoxes,
) -> Box | None:
    """Return an object's box as `read_box` does, or its mask's own where none is written down."""
    if value is None and mask is not None:
        return box_of_mask(mask)
    return read_box(value, box_format, image_size, field_name, place, bad_boxes=bad_boxes)


def _text_of(sentence: Mapping[str, object]) -> object:
    """Return the text of one of RefCOCO's sentences: as it was typed, or else as it was cleaned."""
    return sentence.get("raw", sentence.get("sent"))
