"""From one parsed line to a sample, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.instances import read_expressions, read_label, read_own_box
from datasets_adapters.masks import box_of_mask, read_mask
from datasets_adapters.paths import find_file, find_frames, stored_size
from datasets_adapters.rows import (
    RowPlace,
    check_fields,
    optional_text,
    optional_texts,
    quote,
    read_flag,
    read_id,
    read_size,
)
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.names import hint
from finetune.types import ImageFile, Instance, Sample

_FIELDS = (
    "id",
    "image",
    "images",
    "frames",
    "width",
    "height",
    "prefix",
    "suffix",
    "captions",
    "question",
    "answers",
    "text",
    "box_format",
    "boxes",
)
_IMAGE_FIELDS = ("image", "images", "frames")
_BOX_FIELDS = ("label", "box", "mask", "is_crowd", "expressions")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """What the settings say about lines."""

    image_folder: Path
    box_format: BoxFormat | None
    bad_boxes: BadBoxes
    label_set: tuple[str, ...]
    allow_empty_suffix: bool
    frame_stride: int = 1


def read_row(row: Mapping[str, object], rules: RowRules, origin: str) -> Sample:
    """Read a line. Without an `id`, its origin is its identifier.

    Raises:
        BadSampleError: If a field is unknown, missing, of the wrong type, or breaks its rule.
    """
    nameless = RowPlace(origin=origin, sample_id="")
    place = RowPlace(origin=origin, sample_id=read_id(row["id"], "id", nameless) if "id" in row else origin)
    check_fields(row, _FIELDS, "", place)
    images = _read_images(row, rules, place)
    boxes = _read_list(row, "boxes", place)
    size = read_size(row, place)
    if size is None and boxes and _needs_size(boxes, row, rules, place):
        size = stored_size(images[0], "image", place)
    return Sample(
        sample_id=place.sample_id,
        origin=origin,
        images=images,
        frame_stride=rules.frame_stride if isinstance(row.get("frames"), str) else 1,
        image_size=size,
        instances=None if boxes is None else _read_boxes(boxes, row, rules, size, place),
        label_set=rules.label_set,
        captions=optional_texts(row, "captions", place),
        question=optional_text(row, "question", place),
        answers=optional_texts(row, "answers", place),
        text=optional_text(row, "text", place, may_be_empty=True),
        prefix=optional_text(row, "prefix", place, may_be_empty=True, location_tokens=True),
        suffix=_read_suffix(row, rules, place),
        notes=place.notes,
    )


def _read_suffix(row: Mapping[str, object], rules: RowRules, place: RowPlace) -> str | None:
    suffix = optional_text(row, "suffix", place, may_be_empty=True, location_tokens=True)
    if suffix is not None and not suffix.strip() and not rules.allow_empty_suffix:
        message = "is empty: set dataset.allow_empty_suffix=true if it says that there is nothing (no object) to name"
        place.refuse("suffix", "empty-text", message)
    return suffix


def _read_list(row: Mapping[str, object], name: str, place: RowPlace) -> list[object] | None:
    value = row.get(name)
    if value is not None and not isinstance(value, list):
        place.refuse(name, "wrong-type", f"must be a list of objects, got {quote(value)}")
    return value


def _read_images(row: Mapping[str, object], rules: RowRules, place: RowPlace) -> tuple[ImageFile, ...]:
    given = [name for name in _IMAGE_FIELDS if row.get(name) is not None]
    if not given:
        place.refuse("image", "missing-field", f"is missing: give the image's name, seen from {rules.image_folder}")
    if len(given) > 1:
        place.refuse(given[1], "two-fields", f"stands beside {given[0]}: give one of {', '.join(_IMAGE_FIELDS)}")
    field_name = given[0]
    names = _read_names(row[field_name], field_name, rules, place)
    return tuple(ImageFile(name=n, path=find_file(rules.image_folder, n, field_name, place)) for n in names)


def _read_names(value: object, field_name: str, rules: RowRules, place: RowPlace) -> list[str]:
    """Return the names of a row's images, in order: of `frames`, all files of a folder."""
    if field_name == "frames" and isinstance(value, str):
        return find_frames(rules.image_folder, value, field_name, place)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        what = "a folder or a list of file names" if field_name == "frames" else "a file name or a list of them"
        place.refuse(field_name, "wrong-type", f"must be {what}, got {quote(value)}")
    return names


def _needs_size(boxes: list[object], row: Mapping[str, object], rules: RowRules, place: RowPlace) -> bool:
    """Whether something is in pixels of an image whose size the row does not give."""
    has_masks = any(isinstance(box, Mapping) and box.get("mask") is not None for box in boxes)
    return has_masks or _read_format(row, rules, place).unit == "pixels"


def _has_boxes(boxes: list[object]) -> bool:
    """Whether a box is written down; with a mask it need not be."""
    return not all(isinstance(box, Mapping) and box.get("box") is None and box.get("mask") for box in boxes)


def _read_format(row: Mapping[str, object], rules: RowRules, place: RowPlace) -> BoxFormat:
    value = row.get("box_format")
    known = [member.value for member in BoxFormat]
    if value is None and rules.box_format is not None:
        return rules.box_format
    if value is None:
        message = f"is not declared: set dataset.box_format, or give it in the line; known: {', '.join(known)}"
        place.refuse("box_format", "undeclared-box-format", message)
    if value not in known:
        place.refuse("box_format", "unknown-box-format", f"{quote(value)} is unknown; {hint(str(value), known)}")
    return BoxFormat(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What all boxes of one line share. `box_format` is None where masks say where everything is."""

    rules: RowRules
    box_format: BoxFormat | None
    image_size: tuple[int, int] | None
    place: RowPlace


def _read_boxes(
    boxes: list[object], row: Mapping[str, object], rules: RowRules, size: tuple[int, int] | None, place: RowPlace
) -> tuple[Instance, ...]:
    if not boxes:
        return ()
    box_format = _read_format(row, rules, place) if _has_boxes(boxes) else None
    frame = _Frame(rules=rules, box_format=box_format, image_size=size, place=place)
    instances = [_read_instance(value, frame, f"boxes[{index}]") for index, value in enumerate(boxes)]
    return tuple(instance for instance in instances if instance is not None)


def _read_instance(value: object, frame: _Frame, field_name: str) -> Instance | None:
    """Read one labelled box, or None where it was repaired away."""
    place = frame.place
    if not isinstance(value, Mapping):
        place.refuse(field_name, "wrong-type", f"must be an object with label and box, got {quote(value)}")
    check_fields(value, _BOX_FIELDS, f"{field_name}.", place)
    label = read_label(value.get("label"), frame.rules.label_set, f"{field_name}.label", place)
    is_crowd = read_flag(value.get("is_crowd", False), f"{field_name}.is_crowd", place)
    expressions = _read_own_expressions(value, field_name, place)
    mask = _read_own_mask(value, frame, field_name)
    box = _read_box(value, mask, frame, field_name)
    if box is None:
        return None
    return Instance(label=label, box=box, mask=mask, is_crowd=is_crowd, expressions=expressions)


def _read_own_expressions(value: Mapping[str, object], field_name: str, place: RowPlace) -> tuple[str, ...]:
    if value.get("expressions") is None:
        return ()
    return read_expressions(value["expressions"], f"{field_name}.expressions", place)


def _read_box(value: Mapping[str, object], mask: Mask | None, frame: _Frame, field_name: str) -> Box | None:
    """Return the box that is written down, or else the mask's own."""
    if frame.box_format is None:
        assert mask is not None, "a line with boxes has their format read"
        return box_of_mask(mask)
    written, where, size = value.get("box"), f"{field_name}.box", frame.image_size
    return read_own_box(written, mask, frame.box_format, size, where, frame.place, bad_boxes=frame.rules.bad_boxes)


def _read_own_mask(value: Mapping[str, object], frame: _Frame, field_name: str) -> Mask | None:
    if value.get("mask") is None:
        return None
    assert frame.image_size is not None, "a line with masks has its size read"
    return read_mask(value["mask"], frame.image_size, frame.rules.image_folder, f"{field_name}.mask", frame.place)
