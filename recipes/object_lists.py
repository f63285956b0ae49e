"""Which objects of an image a recipe asks for and says, and in what order: what lists of boxes and of masks share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np

from finetune.tokens.objects import check_label, format_labels
from finetune.tokens.template import check_template, uses
from finetune.types import BadSampleError, Instance, Sample


class ObjectOrder(Enum):
    """How objects follow one another: as in the data, by left edge, largest first, or newly drawn each time."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The objects to say, in order, and counts of what was left out on purpose."""

    instances: Sequence[Instance]
    notes: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectList:
    """The rules of one recipe. Crowd regions are never said. Picklable: loader processes get their own copy.

    Args:
        prefix, labels, other_labels, prefix_labels, order: As the recipe's settings.
        limit: Say the first so many of that order and count the others; None: say all.
        is_sayable: Whether an object is still one as tokens; others are left out and counted.

    Raises:
        ValueError: If the prefix has unknown placeholders, or labels repeat, contradict or break the format.
    """

    prefix: str
    labels: Sequence[str] | None
    other_labels: OtherLabels
    prefix_labels: PrefixLabels
    order: ObjectOrder
    limit: int | None
    is_sayable: Callable[[Sample, Instance], bool]

    def __post_init__(self) -> None:
        check_template("prefix", self.prefix, ("labels",))
        if self.labels is not None and len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must not repeat one another, got {self.labels}")
        for label in self.labels or ():
            check_label(label)
        if self.other_labels is OtherLabels.leave_out and not self.labels:
            raise ValueError("other_labels=leave_out has no effect without labels: list those to keep")

    def prefix_of(self, sample: Sample) -> str:
        """Say what to look for, or what the data says ready-made.

        Raises:
            BadSampleError: If no label is known, or one breaks the format.
        """
        if sample.prefix is not None:
            return sample.prefix
        if not uses(self.prefix, "labels"):
            return self.prefix.format()
        return self.prefix.format(labels=format_labels(self._prefix_labels_of(sample)))

    def choose(self, sample: Sample, rng: np.random.Generator) -> Chosen:
        """Choose what to say of an annotated sample.

        Raises:
            BadSampleError: As `check`.
        """
        in_scope = self.in_scope(sample)
        self.check(sample)
        wanted = _without_crowds(in_scope)
        visible = [instance for instance in wanted if self.is_sayable(sample, instance)]
        kept = _ordered(visible, self.order, rng)[: self.limit]
        notes = {
            "boxes of other labels left out": len(sample.instances or ()) - len(in_scope),
            "crowd regions left out": len(in_scope) - len(wanted),
            "boxes thinner than a location bin": len(wanted) - len(visible),
            "boxes over the limit": len(visible) - len(kept),
        }
        return Chosen(instances=kept, notes={note: count for note, count in notes.items() if count})

    def check(self, sample: Sample) -> None:
        """Refuse labels that are not looked for, or that could not be read back.

        Raises:
            BadSampleError: Naming the object.
        """
        known = self.labels if self.labels is not None else sample.label_set
        for index, instance in enumerate(self.in_scope(sample)):
            field_name = f"boxes[{index}].label"
            _check_label_of(sample, field_name, instance.label)
            if known and instance.label not in known:
                message = (
                    f"label {instance.label!r} is not one of {', '.join(known)}: add it to recipe.labels, or set "
                    "recipe.other_labels=leave_out"
                )
                raise bad(sample, field_name, "unknown-label", message)

    def in_scope(self, sample: Sample) -> tuple[Instance, ...]:
        """Return the annotated objects, crowds included, without those that `other_labels` leaves out."""
        instances = sample.instances or ()
        if self.labels is None or self.other_labels is OtherLabels.refuse:
            return instances
        return tuple(instance for instance in instances if instance.label in self.labels)

    def wanted(self, sample: Sample) -> list[Instance]:
        """Return the objects that a perfect answer holds, in the order of the annotation."""
        return _without_crowds(self.in_scope(sample))

    def has_some(self, sample: Sample) -> bool:
        """Whether there is an object to say; a sample without annotations stays in, so that it is refused by name."""
        if sample.suffix is not None:
            return bool(sample.suffix.strip())
        return sample.instances is None or any(self.is_sayable(sample, one) for one in self.wanted(sample))

    def _prefix_labels_of(self, sample: Sample) -> Sequence[str]:
        known = self.labels if self.labels is not None else sample.label_set
        present = {instance.label for instance in self.wanted(sample)}
        asked: Sequence[str] = known
        if self.prefix_labels is PrefixLabels.present and present:
            asked = [label for label in known if label in present] if known else sorted(present)
        if not asked:
            raise bad(
                sample,
                "label_set",
                "missing-labels",
                "no data set names the labels: set recipe.labels=[...], or say yourself what to look for with "
                "recipe.prefix=... (in finetune predict: prefix=...)",
            )
        for label in asked:
            _check_label_of(sample, "label_set", label)
        return asked


@runtime_checkable
class ObjectSettings(Protocol):
    """The settings that recipes of boxes and of masks have in common, under the same names."""

    @property
    def prefix(self) -> str: ...

    @property
    def labels(self) -> list[str] | None: ...

    @property
    def other_labels(self) -> OtherLabels: ...

    @property
    def prefix_labels(self) -> PrefixLabels: ...


def object_list(
    settings: ObjectSettings,
    *,
    order: ObjectOrder,
    limit: int | None,
    is_sayable: Callable[[Sample, Instance], bool],
) -> ObjectList:
    """Return the rules that a recipe's settings make, with what recipes call each by a name of its own.

    Raises:
        ValueError: As `ObjectList`.
    """
    return ObjectList(
        prefix=settings.prefix,
        labels=settings.labels,
        other_labels=settings.other_labels,
        prefix_labels=settings.prefix_labels,
        order=order,
        limit=limit,
        is_sayable=is_sayable,
    )


def check_ready_made(sample: Sample, num_malformed: int, form: str) -> None:
    """Refuse a ready-made suffix that is no list of objects.

    Args:
        form: What one object must look like.

    Raises:
        BadSampleError: If anything in it is malformed.
    """
    if num_malformed:
        message = (
            f"{num_malformed} of the parts between ';' are not '{form} label' with top < bottom and "
            "left < right; recipe=verbatim takes any suffix"
        )
        raise bad(sample, "suffix", "malformed-objects", message)


def bad(sample: Sample, field_name: str, code: str, message: str) -> BadSampleError:
    """Return the refusal of a sample."""
    return BadSampleError(
        origin=sample.origin, sample_id=sample.sample_id, field_name=field_name, code=code, message=message
    )


def _ordered(instances: list[Instance], order: ObjectOrder, rng: np.random.Generator) -> list[Instance]:
    match order:
        case ObjectOrder.annotated:
            return instances
        case ObjectOrder.left_to_right:
            return sorted(instances, key=lambda instance: (instance.box.left, instance.box.top))
        case ObjectOrder.by_size:
            return sorted(instances, key=lambda instance: -instance.box.area)
        case ObjectOrder.random:
            return [instances[index] for index in rng.permutation(len(instances))]


def _without_crowds(instances: Sequence[Instance]) -> list[Instance]:
    return [instance for instance in instances if not instance.is_crowd]


def _check_label_of(sample: Sample, field_name: str, label: str) -> None:
    try:
        check_label(label)
    except ValueError as error:
        raise bad(sample, field_name, "bad-label", f"{error}; rename it") from error
