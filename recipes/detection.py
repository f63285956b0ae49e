"""Find objects: prefix `detect cat ; dog`, suffix `<loc0100><loc0200><loc0300><loc0400> cat ; <loc…> dog`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.evaluate.metrics.detection import DetectionScores
from finetune.settings import at_least
from finetune.tokens.location import has_extent
from finetune.tokens.objects import format_objects, parse_objects
from finetune.types import Example, Instance, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.object_lists import ObjectList, ObjectOrder, OtherLabels, PrefixLabels, check_ready_made, object_list
from recipes.wording import ready_made, say


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Labelled boxes. Crowd regions are never asked for, and excuse boxes inside them in the scores.

    Text that the data brings ready-made (prefix, suffix) is used as it is; its boxes are then the truth.

    Args:
        prefix: What the model is asked; {labels} is filled in, joined by " ; ".
        labels: What to look for; None: every label that the data set knows.
        other_labels: Whether boxes of labels beside these refuse their sample, or are left out of suffix and truth.
        prefix_labels: Which labels the prefix names.
        box_order: How boxes follow one another in the suffix.
        max_boxes: Keep the first so many of that order and count the others; None: keep all.
        keep_empty: Whether images without a box to say take part, with an empty suffix.
    """

    prefix: str = "detect {labels}"
    labels: list[str] | None = None
    other_labels: OtherLabels = OtherLabels.refuse
    prefix_labels: PrefixLabels = PrefixLabels.all
    box_order: ObjectOrder = ObjectOrder.annotated
    max_boxes: int | None = None
    keep_empty: bool = True

    def __post_init__(self) -> None:
        if self.max_boxes is not None:
            at_least("max_boxes", self.max_boxes, 1)
        # Made for its own checks.
        self._objects()

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say what to look for, and the boxes."""
        objects = self._objects()
        prefix = objects.prefix_of(sample)
        if sample.suffix is not None:
            check_ready_made(sample, parse_objects(sample.suffix).num_malformed, "<loc><loc><loc><loc>")
            return say(sample, prefix, sample.suffix, notes=ready_made(sample))
        if sample.instances is None:
            raise missing_annotation(sample, "boxes")
        chosen = objects.choose(sample, rng)
        return say(sample, prefix, format_objects(chosen.instances), notes=ready_made(sample) | dict(chosen.notes))

    def ask(self, sample: Sample) -> Example:
        """Say what to look for alone. A sample that training refuses for its labels is not scored either."""
        objects = self._objects()
        prefix = objects.prefix_of(sample)
        if sample.suffix is None:
            objects.check(sample)
        return say(sample, prefix)

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample, or those with boxes alone."""
        return None if self.keep_empty else self._objects().has_some

    def reference(self, sample: Sample) -> str:
        """Return the true boxes as the model would say them, in the order of the annotation."""
        return sample.suffix if sample.suffix is not None else format_objects(self._objects().wanted(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Read the boxes out of the text, and count what is malformed."""
        parsed = parse_objects(text)
        return Prediction(
            sample_id=sample.sample_id, text=text, objects=parsed.objects, num_malformed=parsed.num_malformed
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return COCO's average precision and its company."""
        return {"detection": DetectionScores(self._truth_of)}

    def _truth_of(self, sample: Sample) -> Sequence[Instance] | None:
        if sample.suffix is not None:
            return parse_objects(sample.suffix).objects
        return None if sample.instances is None else self._objects().in_scope(sample)

    def _objects(self) -> ObjectList:
        return object_list(self, order=self.box_order, limit=self.max_boxes, is_sayable=_is_sayable)


def _is_sayable(sample: Sample, instance: Instance) -> bool:
    return has_extent(instance.box)
