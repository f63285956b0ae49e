"""Objects in rows of the `datasets` library: as dicts, as a column of masks, or as a map of classes.

objects    {"bbox": [[…], …], "category": [3, …], "segmentation": [[[x1, y1, …]], …]} or [{"bbox": […], …}, …]
masks      an image, or a list of them: one for each object, which `mask_labels` names where `objects` does not
label_map  one image, in which the pixels of the n-th label are n
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_adapters.boxes import BadBoxes, BoxFormat
from datasets_adapters.hf_images import read_image
from datasets_adapters.instances import read_expressions, read_label, read_own_box
from datasets_adapters.label_maps import instances_of_classes
from datasets_adapters.masks import box_of_mask, read_label_map, read_mask, read_png_mask
from datasets_adapters.rows import RowPlace, quote
from finetune.masks import Mask
from finetune.names import hint
from finetune.types import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReader:
    """What the settings say about objects.

    Args:
        folder: Where mask files named by rows must lie; None for the hub.
        class_names: Names behind class numbers; () where labels are text.
        box_key, label_key, mask_key, expressions_key: Where dicts of objects keep what; None: nowhere.
        box_format: None where there are no boxes.
    """

    folder: Path | None
    label_set: tuple[str, ...]
    class_names: tuple[str, ...] = ()
    box_key: str | None = "bbox"
    label_key: str = "category"
    mask_key: str | None = None
    expressions_key: str | None = None
    box_format: BoxFormat | None = None
    bad_boxes: BadBoxes = BadBoxes.refuse

    def needs_size(self, fields: Mapping[str, Any]) -> bool:
        """Whether something is in pixels of an image whose size the row may not give."""
        if fields.get("masks") is not None or fields.get("label_map") is not None:
            return True
        is_in_pixels = self.box_format is not None and self.box_format.unit == "pixels"
        return bool(fields.get("objects")) and (is_in_pixels or self.mask_key is not None)

    def read(
        self, fields: Mapping[str, Any], size: tuple[int, int] | None, place: RowPlace
    ) -> tuple[Instance, ...] | None:
        """Read the objects of a row; None where it has no such column, or nothing in it.

        Args:
            fields: Cells by what they hold: objects, masks, mask_labels, label_map.
            size: (height, width) of the image.

        Raises:
            BadSampleError: If a value is missing, of the wrong type, or breaks its rule.
        """
        if fields.get("label_map") is not None:
            assert size is not None, "a row with masks has its size read"
            png = read_image(fields["label_map"], self.folder, "label_map", place)
            return instances_of_classes(
                read_label_map(png, size, "label_map", place), self.label_set, "label_map", place
            )
        rows = rows_of(fields.get("objects"), place)
        if "objects" in fields:
            return None if rows is None else self._read_rows(rows, fields.get("masks"), size, place)
        if fields.get("masks") is None:
            return None
        assert size is not None, "a row with masks has its size read"
        return self._read_masks(_as_list(fields["masks"]), fields.get("mask_labels"), size, place)

    def _read_rows(
        self, rows: Sequence[Mapping[str, Any]], masks: Any, size: tuple[int, int] | None, place: RowPlace
    ) -> tuple[Instance, ...]:
        own: Sequence[Any] = [None] * len(rows) if masks is None else _as_list(masks)
        if len(own) != len(rows):
            place.refuse("masks", "wrong-number", f"holds {len(own)} masks for {len(rows)} objects")
        found = [
            self._read_row(row, self._read_mask(row, mask, number, size, place), size, f"objects[{number}]", place)
            for number, (row, mask) in enumerate(zip(rows, own, strict=True))
        ]
        return tuple(instance for instance in found if instance is not None)

    def _read_row(
        self,
        row: Mapping[str, Any],
        mask: Mask | None,
        size: tuple[int, int] | None,
        field_name: str,
        place: RowPlace,
    ) -> Instance | None:
        """Read one object; None where it was repaired away."""
        label = self._read_label(row.get(self.label_key), f"{field_name}.{self.label_key}", place)
        expressions: tuple[str, ...] = ()
        if self.expressions_key is not None:
            value = _cell(row, self.expressions_key, "expressions_key", field_name, place)
            expressions = read_expressions(value, f"{field_name}.{self.expressions_key}", place)
        if self.box_format is None or self.box_key is None:
            if mask is None:
                place.refuse(
                    field_name, "missing-mask", "has no mask, and dataset.box_key=null says that none has a box"
                )
            return Instance(label=label, box=box_of_mask(mask), mask=mask, expressions=expressions)
        where, bad_boxes = f"{field_name}.{self.box_key}", self.bad_boxes
        box = read_own_box(row.get(self.box_key), mask, self.box_format, size, where, place, bad_boxes=bad_boxes)
        return None if box is None else Instance(label=label, box=box, mask=mask, expressions=expressions)

    def _read_mask(
        self, row: Mapping[str, Any], own: Any, number: int, size: tuple[int, int] | None, place: RowPlace
    ) -> Mask | None:
        """Read an object's mask, which stands in its dict or in the column of masks."""
        value, field_name = own, f"masks[{number}]"
        if self.mask_key is not None:
            value = _cell(row, self.mask_key, "mask_key", f"objects[{number}]", place)
            field_name = f"objects[{number}].{self.mask_key}"
        # Many tools write [] for "not segmented".
        if value is None or value == []:
            return None
        assert size is not None, "a row with masks has its size read"
        mask = self._mask_of(value, size, field_name, place)
        if mask.area_pixels == 0:
            place.refuse(field_name, "empty-mask", "covers no pixel: remove the object or mend its mask")
        return mask

    def _mask_of(self, value: Any, size: tuple[int, int], field_name: str, place: RowPlace) -> Mask:
        if isinstance(value, Mapping) and not ("bytes" in value or "path" in value):
            # The library gives every dict of a column the keys of all.
            return read_mask({key: one for key, one in value.items() if one is not None}, size, None, field_name, place)
        if isinstance(value, list):
            return read_mask(value, size, None, field_name, place)
        return read_png_mask(read_image(value, self.folder, field_name, place), size, field_name, place)

    def _read_masks(
        self, masks: Sequence[Any], labels: Any, size: tuple[int, int], place: RowPlace
    ) -> tuple[Instance, ...]:
        """Read masks that no dict belongs to; an image without a pixel says that there is no such object."""
        named = [self.label_set[0]] * len(masks) if labels is None else _as_list(labels)
        if len(named) != len(masks):
            place.refuse("mask_labels", "wrong-number", f"holds {len(named)} labels for {len(masks)} masks")
        found = []
        for number, (value, label) in enumerate(zip(masks, named, strict=True)):
            mask = self._mask_of(value, size, f"masks[{number}]", place)
            if mask.area_pixels == 0:
                place.notes["masks without a pixel left out"] += 1
                continue
            name = self._read_label(label, f"mask_labels[{number}]", place)
            found.append(Instance(label=name, box=box_of_mask(mask), mask=mask))
        return tuple(found)

    def _read_label(self, value: Any, field_name: str, place: RowPlace) -> str:
        if self.class_names:
            value = class_name(value, self.class_names, field_name, place)
        return read_label(value, self.label_set, field_name, place)


def class_name(value: Any, names: Sequence[str], field_name: str, place: RowPlace) -> str:
    """Return the name behind a class number.

    Raises:
        BadSampleError: If it has none.
    """
    if not isinstance(value, int) or not 0 <= value < len(names):
        place.refuse(field_name, "unknown-class", f"must be a class number below {len(names)}, got {quote(value)}")
    return names[value]


def rows_of(value: Any, place: RowPlace) -> list[Mapping[str, Any]] | None:
    """Return objects one by one, whether they come as a list of dicts or as a dict of lists.

    Raises:
        BadSampleError: If they are neither.
    """
    if value is None:
        return None
    if isinstance(value, Mapping):
        columns = {key: column for key, column in value.items() if isinstance(column, list)}
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1:
            place.refuse("objects", "wrong-type", f"must hold lists of one length, got {quote(value)}")
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not isinstance(value, list) or not all(isinstance(row, Mapping) for row in value):
        place.refuse("objects", "wrong-type", f"must be a dict of lists or a list of dicts, got {quote(value)}")
    return value


def _cell(row: Mapping[str, Any], key: str, setting: str, field_name: str, place: RowPlace) -> Any:
    """Return what an object keeps under a key that all have; without it, a misspelt setting would go unseen."""
    if key not in row:
        place.refuse(f"{field_name}.{key}", "missing-field", f"is not there; dataset.{setting}: {hint(key, row)}")
    return row[key]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
