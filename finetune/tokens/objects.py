"""Lists of labelled boxes as text: `<loc0100><loc0200><loc0300><loc0400> cat ; <loc…> dog`.

PaliGemma's own separator is " ; ", and one space stands before the label. A mask is sixteen segmentation tokens between
the box and the label.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from finetune.tokens.location import BOX_PATTERN, box_of_match, encode_box
from finetune.types import Instance

SEPARATOR = " ; "

# The masks are matched, so that text of a segmentation model reads as well, and left undecoded: these are boxes.
_OBJECT = re.compile(BOX_PATTERN + "(?P<mask>(?:<seg[0-9]{3}>){16})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedObjects:
    """What a text says: its objects in order of appearance, and how many of its parts were none."""

    objects: tuple[Instance, ...]
    num_malformed: int


def check_label(label: str) -> None:
    """Refuse a label that could not be read back out of the text.

    Raises:
        ValueError: If the label is empty, starts or ends with a space, or contains ";", "<" or a line break.
    """
    if not label or label != label.strip():
        raise ValueError(f"label {label!r} must not be empty, nor start or end with a space")
    for forbidden in (";", "<", "\n", "\r"):
        if forbidden in label:
            raise ValueError(f"label {label!r} must not contain {forbidden!r}, which the object format reserves")


def format_objects(instances: Sequence[Instance]) -> str:
    """Say boxes with their labels, in the given order; "" for none. Labels are not checked here."""
    return SEPARATOR.join(f"{encode_box(instance.box)} {instance.label}" for instance in instances)


def format_labels(labels: Sequence[str]) -> str:
    """Say what to look for, as the prefix `detect a ; b` does."""
    return SEPARATOR.join(labels)


def parse_objects(text: str) -> ParsedObjects:
    """Read labelled boxes out of generated text, in linear time.

    Every part between semicolons is either an object or malformed: a missing or repeated box, a bin above 1023, an
    inverted box or a missing label. Never raises, because generated text is untrusted.
    """
    parts = text.split(";") if text.strip() else []
    found = [_parse_object(part.strip()) for part in parts]
    objects = tuple(instance for instance in found if instance is not None)
    return ParsedObjects(objects=objects, num_malformed=len(found) - len(objects))


def _parse_object(part: str) -> Instance | None:
    match = _OBJECT.match(part)
    if match is None:
        return None
    box = box_of_match(match)
    label = part[match.end() :].strip()
    if box is None or not label or "<" in label:
        return None
    return Instance(label=label, box=box)
