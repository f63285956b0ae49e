"""From a row of the `datasets` library to a sample, column by column."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_adapters.hf_images import read_images
from datasets_adapters.hf_objects import ObjectReader, class_name
from datasets_adapters.paths import stored_size
from datasets_adapters.rows import RowPlace, optional_text, optional_texts, read_id, read_size
from finetune.types import Sample

# Read by ObjectReader, with the class numbers in them.
_OBJECT_COLUMNS = ("objects", "masks", "mask_labels", "label_map")


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
    objects: ObjectReader

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
        for key in set(self.class_names) - set(_OBJECT_COLUMNS):
            fields[key] = class_name(fields[key], self.class_names[key], key, place)
        images = read_images(fields["image"], self.folder, "image", place)
        size = read_size(fields, place)
        if size is None and self.objects.needs_size(fields):
            size = stored_size(images[0], "image", place)
        return Sample(
            sample_id=sample_id,
            origin=origin,
            images=images,
            image_size=size,
            instances=self.objects.read(fields, size, place),
            label_set=self.objects.label_set,
            captions=optional_texts(fields, "captions", place),
            question=optional_text(fields, "question", place),
            answers=optional_texts({"answers": _plain_answers(fields.get("answers"))}, "answers", place),
            text=optional_text(fields, "text", place, may_be_empty=True),
            prefix=optional_text(fields, "prefix", place, may_be_empty=True, location_tokens=True),
            suffix=optional_text(fields, "suffix", place, location_tokens=True),
            notes=place.notes,
        )


def _plain_answers(value: Any) -> Any:
    """Return VQAv2's answers, [{"answer": "yes", ...}, ...], as plain ones."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(answer, Mapping) and "answer" in answer for answer in value)
    ):
        return [answer["answer"] for answer in value]
    return value
