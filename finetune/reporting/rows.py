"""One evaluated sample as people look at it, in memory and as a line of `predictions/step-….jsonl`.

{"id": "scenes/7", "prefix": "detect dog", "text": "<loc0102>… dog", "reference": "<loc0100>… dog", "score": 0.5,
 "decoded": [{"label": "dog", "box": {"top": 0.1, "left": 0.2, "bottom": 0.9, "right": 0.5}}], "truth": [...],
 "thumbnail": "step-00000100/00000.jpg"}
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRow:
    """What the model was asked, what it said, and what is true.

    Args:
        reference: The truth as a person would read it; "" where the sample carries none.
        score: The sample's own score, where a metric defines one; higher is better unless the metric says otherwise.
        predicted: Objects read out of `text`.
        truth: Annotated objects; None where objects were not annotated.
        thumbnail_jpeg: The image, small, in its own proportions; None beyond the gallery.
    """

    sample_id: str
    prefix: str
    text: str
    reference: str
    score: float | None
    predicted: tuple[Instance, ...] = ()
    truth: tuple[Instance, ...] | None = None
    thumbnail_jpeg: bytes | None = None


def row_to_json(row: PredictionRow, thumbnail: str | None) -> dict[str, Any]:
    """Return the row's line. `thumbnail` is where its image lies, relative to the file."""
    return {
        "id": row.sample_id,
        "prefix": row.prefix,
        "text": row.text,
        "reference": row.reference,
        "score": row.score,
        "decoded": _instances_to_json(row.predicted),
        "truth": None if row.truth is None else _instances_to_json(row.truth),
        "thumbnail": thumbnail,
    }


def row_from_json(line: Mapping[str, Any], thumbnail_jpeg: bytes | None) -> PredictionRow:
    """Read a line that `row_to_json` made, with the image that it names."""
    return PredictionRow(
        sample_id=line["id"],
        prefix=line["prefix"],
        text=line["text"],
        reference=line["reference"],
        # A score that is not finite was written as a string.
        score=None if line["score"] is None else float(line["score"]),
        predicted=_instances_from_json(line["decoded"]),
        truth=None if line["truth"] is None else _instances_from_json(line["truth"]),
        thumbnail_jpeg=thumbnail_jpeg,
    )


def _instances_to_json(instances: Sequence[Instance]) -> list[dict[str, Any]]:
    return [_instance_to_json(instance) for instance in instances]


def _instance_to_json(instance: Instance) -> dict[str, Any]:
    line: dict[str, Any] = {"label": instance.label, "box": asdict(instance.box)}
    if instance.is_crowd:
        line["is_crowd"] = True
    if instance.mask is not None:
        mask = instance.mask
        line["mask"] = {"height": mask.height, "width": mask.width, "counts": mask.counts.decode("ascii")}
    return line


def _instances_from_json(lines: Sequence[Mapping[str, Any]]) -> tuple[Instance, ...]:
    return tuple(_instance_from_json(line) for line in lines)


def _instance_from_json(line: Mapping[str, Any]) -> Instance:
    mask = line.get("mask")
    return Instance(
        label=line["label"],
        box=Box(**line["box"]),
        mask=mask and Mask(height=mask["height"], width=mask["width"], counts=mask["counts"].encode("ascii")),
        is_crowd=line.get("is_crowd", False),
    )
