"""Find objects: prefix `detect cat ; dog`, suffix `<loc0100><loc0200><loc0300><loc0400> cat ; <loc…> dog`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from finetune.evaluate.metrics.detection import DetectionScores
from finetune.settings import at_least
from finetune.tokens.location import has_extent
from finetune.tokens.objects import check_label, format_labels, format_objects, parse_objects
from finetune.tokens.template import check_template, uses
from finetune.types import BadSampleError, Example, Instance, Metric, Prediction, Sample
from recipes.missing import missing_annotation
from recipes.wording import ready_made, say


class BoxOrder(Enum):
    """How boxes follow one another: as in the data, by left edge, largest first, or newly drawn each time."""

    annotated = "annotated"
    left_to_right = "left_to_right"
    by_size = "by_size"
    random = "random"


class PrefixLabels(Enum):
    """What the prefix asks for: every label, or those that the image has (all of them where it has none)."""

    all = "all"
    present = "present"


class OtherLabels(Enum):
    """What becomes of boxes whose label is none of `labels`: their sample is refused, or the boxes do not count."""

    refuse = "refuse"
    leave_out = "leave_out"


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
    box_order: BoxOrder = BoxOrder.annotated
    max_boxes: int | None = None
    keep_empty: bool = True

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ("labels",))
        if self.max_boxes is not None:
            at_least("max_boxes", self.max_boxes, 1)
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must not repeat one another, got {self.labels}")
        for label in self.labels or ():
            check_label(label)
        if self.other_labels is OtherLabels.leave_out and not self.labels:
            raise ValueError("other_labels=leave_out has no effect without labels: list those to keep")

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say what to look for, and the boxes."""
        prefix = self._prefix_of(sample)
        if sample.suffix is not None:
            _check_ready_made(sample, sample.suffix)
            return say(sample, prefix, sample.suffix, notes=ready_made(sample))
        if sample.instances is None:
            raise missing_annotation(sample, "boxes")
        in_scope = self._in_scope(sample)
        self._check_labels(sample, in_scope)
        wanted = _without_crowds(in_scope)
        visible = [instance for instance in wanted if has_extent(instance.box)]
        kept = _ordered(visible, self.box_order, rng)[: self.max_boxes]
        notes = {
            "boxes of other labels left out": len(sample.instances) - len(in_scope),
            "crowd regions left out": len(in_scope) - len(wanted),
            "boxes thinner than a location bin": len(wanted) - len(visible),
            "boxes over the limit": len(visible) - len(kept),
        }
        counted = {note: count for note, count in notes.items() if count}
        return say(sample, prefix, format_objects(kept), notes=ready_made(sample) | counted)

    def ask(self, sample: Sample) -> Example:
        """Say what to look for alone. A sample that training refuses for its labels is not scored either."""
        prefix = self._prefix_of(sample)
        if sample.suffix is None:
            self._check_labels(sample, self._in_scope(sample))
        return say(sample, prefix)

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample, or those with boxes alone."""
        return None if self.keep_empty else self._has_boxes

    def reference(self, sample: Sample) -> str:
        """Return the true boxes as the model would say them, in the order of the annotation."""
        return sample.suffix if sample.suffix is not None else format_objects(self._wanted(sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Read the boxes out of the text, and count what is malformed."""
        parsed = parse_objects(text)
        return Prediction(
            sample_id=sample.sample_id, text=text, objects=parsed.objects, num_malformed=parsed.num_malformed
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return COCO's average precision and its company."""
        return {"detection": DetectionScores(self._truth_of)}

    def _prefix_of(self, sample: Sample) -> str:
        if sample.prefix is not None:
            return sample.prefix
        if not uses(self.prefix, "labels"):
            return self.prefix.format()
        return self.prefix.format(labels=format_labels(self._prefix_labels_of(sample)))

    def _prefix_labels_of(self, sample: Sample) -> Sequence[str]:
        known = self.labels if self.labels is not None else sample.label_set
        present = {instance.label for instance in self._wanted(sample)}
        asked: Sequence[str] = known
        if self.prefix_labels is PrefixLabels.present and present:
            asked = [label for label in known if label in present] if known else sorted(present)
        if not asked:
            raise _bad(
                sample,
                "label_set",
                "missing-labels",
                "no data set names the labels: set recipe.labels=[...], or say yourself what to look for with "
                "recipe.prefix=... (in finetune predict: prefix=...)",
            )
        for label in asked:
            _check_label_of(sample, "label_set", label)
        return asked

    def _check_labels(self, sample: Sample, instances: Sequence[Instance]) -> None:
        known = self.labels if self.labels is not None else sample.label_set
        for index, instance in enumerate(instances):
            field_name = f"boxes[{index}].label"
            _check_label_of(sample, field_name, instance.label)
            if known and instance.label not in known:
                message = (
                    f"label {instance.label!r} is not one of {', '.join(known)}: add it to recipe.labels, or set "
                    "recipe.other_labels=leave_out"
                )
                raise _bad(sample, field_name, "unknown-label", message)

    def _in_scope(self, sample: Sample) -> tuple[Instance, ...]:
        """Return the annotated objects, without those that `other_labels` leaves out."""
        instances = sample.instances or ()
        if self.labels is None or self.other_labels is OtherLabels.refuse:
            return instances
        return tuple(instance for instance in instances if instance.label in self.labels)

    def _wanted(self, sample: Sample) -> list[Instance]:
        return _without_crowds(self._in_scope(sample))

    def _has_boxes(self, sample: Sample) -> bool:
        """Whether there is a box to say; a sample without annotations stays in, so that it is refused by name."""
        if sample.suffix is not None:
            return bool(sample.suffix.strip())
        return sample.instances is None or any(has_extent(instance.box) for instance in self._wanted(sample))

    def _truth_of(self, sample: Sample) -> Sequence[Instance] | None:
        if sample.suffix is not None:
            return parse_objects(sample.suffix).objects
        return None if sample.instances is None else self._in_scope(sample)


def _ordered(instances: list[Instance], order: BoxOrder, rng: np.random.Generator) -> list[Instance]:
    match order:
        case BoxOrder.annotated:
            return instances
        case BoxOrder.left_to_right:
            return sorted(instances, key=lambda instance: (instance.box.left, instance.box.top))
        case BoxOrder.by_size:
            return sorted(instances, key=lambda instance: -instance.box.area)
        case BoxOrder.random:
            return [instances[index] for index in rng.permutation(len(instances))]


def _without_crowds(instances: Sequence[Instance]) -> list[Instance]:
    return [instance for instance in instances if not instance.is_crowd]


def _check_ready_made(sample: Sample, suffix: str) -> None:
    if num_malformed := parse_objects(suffix).num_malformed:
        message = (
            f"{num_malformed} of the parts between ';' are not '<loc><loc><loc><loc> label' with top < bottom and "
            "left < right; recipe=verbatim takes any suffix"
        )
        raise _bad(sample, "suffix", "malformed-objects", message)


def _check_label_of(sample: Sample, field_name: str, label: str) -> None:
    try:
        check_label(label)
    except ValueError as error:
        raise _bad(sample, field_name, "bad-label", f"{error}; rename it") from error


def _bad(sample: Sample, field_name: str, code: str, message: str) -> BadSampleError:
    return BadSampleError(
        origin=sample.origin, sample_id=sample.sample_id, field_name=field_name, code=code, message=message
    )
