"""Lists of labelled boxes and masks as text: `<loc0100><loc0200><loc0300><loc0400> cat ; <loc…> dog`.

PaliGemma's own separator is " ; ", and one space stands before the label. A mask is sixteen segmentation tokens between
the box and the label; an answer to a referring expression is a box and a mask alone, without a label.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from finetune.geometry import Box
from finetune.tokens.location import BOX_PATTERN, box_of_match, encode_box
from finetune.tokens.segmentation import MASK_PATTERN, format_codes, parse_box_and_codes, parse_codes
from finetune.types import Instance

SEPARATOR = " ; "

_OBJECT = re.compile(f"{BOX_PATTERN}{MASK_PATTERN}?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedObjects:
    """What a text says: its objects in order of appearance, and how many of its parts were none."""

    objects: tuple[Instance, ...]
    num_malformed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenMask:
    """One mask as text says it: codes of what lies in the box, which `finetune.tokens.segmentation` turns into pixels.

    `label` is "" in the answer to a referring expression.
    """

    label: str
    box: Box
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMasks:
    """What a text says of masks: those in order of appearance, and how many of its parts were none."""

    masks: tuple[SpokenMask, ...]
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


def format_masks(masks: Sequence[SpokenMask]) -> str:
    """Say masks with their boxes and labels, in the given order; "" for none. Labels are not checked here."""
    return SEPARATOR.join(f"{format_mask(mask)} {mask.label}" for mask in masks)


def format_mask(mask: SpokenMask) -> str:
    """Say one box and mask without the label, as the answer to a referring expression."""
    return encode_box(mask.box) + format_codes(mask.codes)


def format_labels(labels: Sequence[str]) -> str:
    """Say what to look for, as the prefix `detect a ; b` does."""
    return SEPARATOR.join(labels)


def parse_objects(text: str) -> ParsedObjects:
    """Read labelled boxes out of generated text, in linear time; the masks of a segmentation model are passed over.

    Every part between semicolons is either an object or malformed: a missing or repeated box, a bin above 1023, an
    inverted box or a missing label. Never raises, because generated text is untrusted.
    """
    found = [_parse_object(part) for part in _parts(text)]
    objects = tuple(instance for instance in found if instance is not None)
    return ParsedObjects(objects=objects, num_malformed=len(found) - len(objects))


def parse_masks(text: str) -> ParsedMasks:
    """Read labelled masks out of generated text, as `parse_objects`; a box without a whole mask is malformed too."""
    found = [_parse_mask(part) for part in _parts(text)]
    masks = tuple(mask for mask in found if mask is not None)
    return ParsedMasks(masks=masks, num_malformed=len(found) - len(masks))


def parse_mask(text: str) -> SpokenMask | None:
    """Read the answer to a referring expression: the first twenty tokens are box and mask, the rest does not matter.

    Returns:
        None where the text does not begin with a well-formed box and a whole mask.
    """
    found = parse_box_and_codes(text)
    return None if found is None else SpokenMask(label="", box=found[0], codes=tuple(found[1]))


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(";")] if text.strip() else []


def _parse_object(part: str) -> Instance | None:
    match = _OBJECT.match(part)
    if match is None:
        return None
    box, label = box_of_match(match), _label_after(match, part)
    return Instance(label=label, box=box) if box is not None and label else None


def _parse_mask(part: str) -> SpokenMask | None:
    match = _OBJECT.match(part)
    if match is None:
        return None
    box, codes, label = box_of_match(match), parse_codes(match[5] or ""), _label_after(match, part)
    return None if box is None or codes is None or not label else SpokenMask(label=label, box=box, codes=tuple(codes))


def _label_after(match: re.Match[str], part: str) -> str:
    """Return the label behind a match; "" where there is none, or more tokens stand in it."""
    label = part[match.end() :].strip()
    return "" if "<" in label else label
