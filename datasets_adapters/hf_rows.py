"""From a row of the `datasets` library to a sample, column by column."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_adapters.boxes import BadBoxes, BoxFormat, read_box
from datasets_adapters.paths import find_file, stored_size
from datasets_adapters.rows import (
    RowPlace,
    optional_text,
    optional_texts,
    quote,
    read_id,
    read_size,
    read_text,
)
from finetune.names import hint
from finetune.types import ImageBytes, ImageFile, Instance, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnReader:
    """What the settings say about rows.

    Args:
        place: The split, for messages.
        folder: Where image files named by rows must lie; None for the hub.
        columns: Which column holds what; always one for image.
        class_names: Names behind class numbers, by field.
    """

    place: str
    folder: Path | None
    columns: Mapping[str, str]
    class_names: Mapping[str, tuple[str, ...]]
    label_set: tuple[str, ...]
    box_key: str
    label_key: str
    box_format: BoxFormat | None
    bad_boxes: BadBoxes

    def read(self, row: Mapping[str, Any], index: int) -> Sample:
        """Read row `index`. Without a column for ids, its number is its identifier.

        Raises:
            BadSampleError: If a value is missing, of the wrong type, or breaks its rule.
        """
        origin = f"{self.place} row {index}"
        fields = {key: row.get(column) for key, column in self.columns.items()}
        nameless = RowPlace(origin=origin, sample_id="")
        sample_id = read_id(fields["id"], "id", nameless) if "id" in fields else f"row-{index}"
        place = RowPlace(origin=origin, sample_id=sample_id)
        for key in set(self.class_names) - {"objects"}:
            fields[key] = self._class_name(fields[key], self.class_names[key], key, place)
        image = self._read_image(fields["image"], index, place)
        size = read_size(fields, place)
        objects = _rows_of(fields.get("objects"), place)
        if size is None and objects and self.box_format is not None and self.box_format.unit == "pixels":
            size = stored_size(image, "image", place)
        return Sample(
            sample_id=sample_id,
            origin=origin,
            images=(image,),
            image_size=size,
            instances=None if objects is None else self._read_objects(objects, size, place),
            label_set=self.label_set,
            captions=optional_texts(fields, "captions", place),
            question=optional_text(fields, "question", place),
            answers=optional_texts({"answers": _plain_answers(fields.get("answers"))}, "answers", place),
            text=optional_text(fields, "text", place, may_be_empty=True),
            prefix=optional_text(fields, "prefix", place, may_be_empty=True, location_tokens=True),
            suffix=optional_text(fields, "suffix", place, location_tokens=True),
            notes=place.notes,
        )

    def _read_image(self, value: Any, index: int, place: RowPlace) -> ImageBytes | ImageFile:
        if isinstance(value, str):
            value = {"path": value}
        if not isinstance(value, Mapping):
            place.refuse("image", "wrong-type", f"must be an image or a file name, got {quote(value)}")
        if value.get("bytes") is not None:
            return ImageBytes(name=str(value.get("path") or f"row {index}"), data=value["bytes"])
        path = value.get("path")
        if not isinstance(path, str):
            place.refuse("image", "missing-field", "holds neither bytes nor a file name")
        if self.folder is None:
            return ImageFile(name=path, path=_downloaded(path, place))
        # `datasets` makes the names of its image folders absolute; inside the folder they are as good as relative.
        if os.path.isabs(path) and Path(path).is_relative_to(self.folder.absolute()):
            path = os.path.relpath(path, self.folder.absolute())
        return ImageFile(name=path, path=find_file(self.folder, path, "image", place))

    def _read_objects(
        self, objects: Sequence[Mapping[str, Any]], size: tuple[int, int] | None, place: RowPlace
    ) -> tuple[Instance, ...]:
        instances = [self._read_object(value, size, f"objects[{i}]", place) for i, value in enumerate(objects)]
        return tuple(instance for instance in instances if instance is not None)

    def _read_object(
        self, value: Mapping[str, Any], size: tuple[int, int] | None, field_name: str, place: RowPlace
    ) -> Instance | None:
        """Read one object; None where it was repaired away."""
        assert self.box_format is not None, "HuggingFace refuses objects without a box format"
        label = value.get(self.label_key)
        if "objects" in self.class_names:
            label = self._class_name(label, self.class_names["objects"], f"{field_name}.{self.label_key}", place)
        label = read_text(label, f"{field_name}.{self.label_key}", place)
        if label not in self.label_set:
            message = f"{quote(label)} is not among dataset.labels; {hint(label, self.label_set)}"
            place.refuse(f"{field_name}.{self.label_key}", "unknown-label", message)
        where = f"{field_name}.{self.box_key}"
        box = read_box(value.get(self.box_key), self.box_format, size, where, place, bad_boxes=self.bad_boxes)
        return None if box is None else Instance(label=label, box=box)

    def _class_name(self, value: Any, names: tuple[str, ...], field_name: str, place: RowPlace) -> str:
        if not isinstance(value, int) or not 0 <= value < len(names):
            place.refuse(field_name, "unknown-class", f"must be a class number below {len(names)}, got {quote(value)}")
        return names[value]


def _rows_of(value: Any, place: RowPlace) -> list[Mapping[str, Any]] | None:
    """Return objects one by one, whether they come as a list of dicts or as a dict of lists."""
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


def _plain_answers(value: Any) -> Any:
    """Return VQAv2's answers, [{"answer": "yes", ...}, ...], as plain ones."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(answer, Mapping) and "answer" in answer for answer in value)
    ):
        return [answer["answer"] for answer in value]
    return value


def _downloaded(path: str, place: RowPlace) -> Path:
    """Return a file that `datasets` fetched from the hub: it lies in one of the caches, and nowhere else."""
    import datasets
    import huggingface_hub

    real = Path(os.path.realpath(path))
    caches = (
        datasets.config.HF_DATASETS_CACHE,
        datasets.config.DOWNLOADED_DATASETS_PATH,
        huggingface_hub.constants.HF_HUB_CACHE,
    )
    if not any(real.is_relative_to(os.path.realpath(cache)) for cache in caches) or not real.is_file():
        place.refuse(
            "image", "path-outside-folder", f"{quote(path)} is no downloaded file: the rows must hold the images"
        )
    return real
