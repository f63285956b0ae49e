"""COCO's average precision of what was said about images, by box or by mask.

PaliGemma gives no confidence: everything said scores 1, and objects of one image rank in the order in which they were
said. A label that no true object of the split carries is not punished by COCO's rules, which average over true labels
only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from finetune.evaluate.metrics.quiet import silence
from finetune.geometry import Box
from finetune.masks import Mask
from finetune.types import Instance, Prediction, Sample

Truth = Callable[[Sample], Sequence[Instance] | None]

# Positions in the evaluator's `stats`; recall is the average over IoU thresholds with up to 100 objects an image.
STATISTICS = {"mAP": 0, "mAP50": 1, "mAP75": 2, "mAP_small": 3, "mAP_medium": 4, "mAP_large": 5, "recall": 8}


class Overlap(Enum):
    """What two objects are compared by, as the evaluator calls it."""

    boxes = "bbox"
    masks = "segm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredImage:
    """One image: what was said about it and what is true."""

    sample_id: str
    image_size: tuple[int, int]
    predicted: Sequence[Instance]
    truth: Sequence[Instance]
    num_malformed: int


def scored_image(prediction: Prediction, sample: Sample, truth: Sequence[Instance]) -> ScoredImage:
    """Put one prediction beside the truth."""
    assert sample.image_size is not None, "the image was decoded, so its size is known"
    return ScoredImage(
        sample_id=sample.sample_id,
        image_size=sample.image_size,
        predicted=prediction.objects,
        truth=truth,
        num_malformed=prediction.num_malformed,
    )


def average_precision(images: Sequence[ScoredImage], overlap: Overlap) -> dict[str, float]:
    """Run the COCO evaluator; values that it cannot define (it says -1) are left out.

    Crowd regions excuse what lies inside them. Object sizes are areas in pixels of the annotated image: the mask's
    where there is one, the box's otherwise.
    """
    # What scores equally ranks by image, so the images' order must not depend on the order of updates.
    dataset, results = _coco_inputs(sorted(images, key=lambda image: image.sample_id), overlap)
    if not results:
        # The evaluators refuse an empty result list; an object that no image has scores the same zeros.
        results = [{"image_id": 1, "category_id": 0, "bbox": [0.0, 0.0, 0.0, 0.0], "score": 1.0}]
    from faster_coco_eval import COCO, COCOeval_faster

    with silence():
        truth = COCO(dataset)
        evaluation = COCOeval_faster(truth, truth.loadRes(results), overlap.value)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = {name: float(evaluation.stats[position]) for name, position in STATISTICS.items()}
    return {name: value for name, value in values.items() if value >= 0}


def _coco_inputs(
    images: Sequence[ScoredImage], overlap: Overlap
) -> tuple[dict[str, list[dict[str, object]]], list[dict[str, object]]]:
    """Return the truth as a COCO data set, and the predictions as COCO results with score 1."""
    labels = sorted({instance.label for image in images for instance in (*image.truth, *image.predicted)})
    categories = {label: index for index, label in enumerate(labels, start=1)}
    annotations: list[dict[str, object]] = []
    results: list[dict[str, object]] = []
    for image_id, image in enumerate(images, start=1):
        for instance in image.truth:
            named = {"id": len(annotations) + 1, "image_id": image_id, "category_id": categories[instance.label]}
            annotations.append({**named, **_true_shape(instance, image.image_size, overlap)})
        for instance in image.predicted:
            said = {"image_id": image_id, "category_id": categories[instance.label], "score": 1.0}
            results.append({**said, **_said_shape(instance, image.image_size, overlap)})
    sizes: list[dict[str, object]] = [
        {"id": image_id, "height": image.image_size[0], "width": image.image_size[1]}
        for image_id, image in enumerate(images, start=1)
    ]
    named_labels: list[dict[str, object]] = [{"id": index, "name": label} for label, index in categories.items()]
    return {"images": sizes, "annotations": annotations, "categories": named_labels}, results


def _true_shape(instance: Instance, image_size: tuple[int, int], overlap: Overlap) -> Mapping[str, object]:
    bbox = _xywh_pixels(instance.box, image_size)
    shape = {
        "bbox": bbox,
        "area": float(instance.mask.area_pixels) if instance.mask else bbox[2] * bbox[3],
        "iscrowd": int(instance.is_crowd),
    }
    return shape if overlap is Overlap.boxes else {**shape, "segmentation": _run_lengths(instance, image_size)}


def _said_shape(instance: Instance, image_size: tuple[int, int], overlap: Overlap) -> Mapping[str, object]:
    # Beside a box, the evaluator would take the box's area for the object's size.
    if overlap is Overlap.masks:
        return {"segmentation": _run_lengths(instance, image_size)}
    return {"bbox": _xywh_pixels(instance.box, image_size)}


def _run_lengths(instance: Instance, image_size: tuple[int, int]) -> dict[str, object]:
    """Return the mask as the evaluator takes it; without one, a crowd region is all of its box."""
    mask = instance.mask or box_mask(instance.box, image_size)
    return {"size": [mask.height, mask.width], "counts": mask.counts.decode("ascii")}


def box_mask(box: Box, image_size: tuple[int, int]) -> Mask:
    """Return all of a box as a mask. `image_size` is (height, width)."""
    left, top, right, bottom = box.to_xyxy_pixels(image_size)
    return Mask.from_polygons([[left, top, right, top, right, bottom, left, bottom]], image_size=image_size)


def _xywh_pixels(box: Box, image_size: tuple[int, int]) -> list[float]:
    left, top, right, bottom = box.to_xyxy_pixels(image_size)
    return [left, top, right - left, bottom - top]
