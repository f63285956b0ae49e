"""Outline objects: prefix `segment cat ; dog`, suffix `<loc0100><loc0200><loc0300><loc0400><seg012>…<seg099> cat ; …`.

Each object is its box, sixteen codes for the shape inside the box, and its label.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finetune.evaluate.metrics.detection import DetectionScores
from finetune.evaluate.metrics.segmentation import MaskScores
from finetune.settings import at_least
from finetune.tokens.objects import format_masks, parse_masks
from finetune.tokens.segmentation import CodecChoice, choose_codec
from finetune.types import Example, Instance, Metric, Prediction, Sample
from recipes.mask_words import MissingMasks, check_masks, is_sayable, read_masks, say_masks
from recipes.missing import missing_annotation
from recipes.object_lists import ObjectList, ObjectOrder, OtherLabels, PrefixLabels, check_ready_made, object_list
from recipes.wording import ready_made, say


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """Labelled masks. Crowd regions are never asked for, and excuse masks inside them in the scores.

    The box before a mask is the annotated one, as in the original, not the mask's own extent. Text that the data brings
    ready-made (prefix, suffix) is used as it is; its masks are then the truth.

    Args:
        prefix: What the model is asked; {labels} is filled in, joined by " ; ".
        labels: What to look for; None: every label that the data set knows.
        other_labels: Whether objects of labels beside these refuse their sample, or are left out of suffix and truth.
        prefix_labels: Which labels the prefix names.
        object_order: How objects follow one another in the suffix.
        max_objects: Keep the first so many of that order and count the others; None: keep all.
        keep_empty: Whether images without an object to say take part, with an empty suffix.
        missing_masks: Whether objects without a mask refuse their sample, or are left out of suffix and truth.
        mask_codec: What turns masks into codes: embedded, original, or the path of a file like vae-oid.npz; None:
            $FINETUNE_MASK_CODEC, or else embedded. Published weights speak the original's codes.
    """

    prefix: str = "segment {labels}"
    labels: list[str] | None = None
    other_labels: OtherLabels = OtherLabels.refuse
    prefix_labels: PrefixLabels = PrefixLabels.all
    object_order: ObjectOrder = ObjectOrder.annotated
    max_objects: int | None = None
    keep_empty: bool = True
    missing_masks: MissingMasks = MissingMasks.refuse
    mask_codec: str | None = None

    def __post_init__(self) -> None:
        if self.max_objects is not None:
            at_least("max_objects", self.max_objects, 1)
        # Made for its own checks.
        self._objects()

    def codec(self) -> CodecChoice:
        """Return the codec in use.

        Raises:
            ValueError: If its file is missing or is none.
        """
        return choose_codec(self.mask_codec)

    def encode(self, sample: Sample, rng: np.random.Generator) -> Example:
        """Say what to look for, and the masks."""
        objects, masked = self._objects(), self._with_masks(sample)
        prefix = objects.prefix_of(masked)
        if sample.suffix is not None:
            check_ready_made(sample, parse_masks(sample.suffix).num_malformed, "<loc> x 4 <seg> x 16")
            return say(sample, prefix, sample.suffix, notes=ready_made(sample))
        if sample.instances is None:
            raise missing_annotation(sample, "masks")
        check_masks(sample, self.missing_masks)
        chosen = objects.choose(masked, rng)
        notes = ready_made(sample) | dict(chosen.notes)
        if left_out := len(sample.instances) - len(masked.instances or ()):
            notes["objects without a mask left out"] = left_out
        return say(sample, prefix, format_masks(say_masks(self.codec(), chosen.instances, sample)), notes=notes)

    def ask(self, sample: Sample) -> Example:
        """Say what to look for alone. A sample that training refuses for its labels or masks is not scored either."""
        objects, masked = self._objects(), self._with_masks(sample)
        prefix = objects.prefix_of(masked)
        if sample.suffix is None:
            check_masks(sample, self.missing_masks)
            objects.check(masked)
        return say(sample, prefix)

    def selection(self) -> Callable[[Sample], bool] | None:
        """Take every sample, or those with masks alone."""
        return None if self.keep_empty else self._has_some

    def reference(self, sample: Sample) -> str:
        """Return the true masks as the model would say them, in the order of the annotation."""
        if sample.suffix is not None:
            return sample.suffix
        masked = self._with_masks(sample)
        wanted = [one for one in self._objects().wanted(masked) if is_sayable(sample, one)]
        return format_masks(say_masks(self.codec(), wanted, sample))

    def decode(self, text: str, sample: Sample) -> Prediction:
        """Read the masks out of the text, and count what is malformed."""
        parsed = parse_masks(text)
        return Prediction(
            sample_id=sample.sample_id,
            text=text,
            objects=read_masks(self.codec(), parsed.masks, sample),
            num_malformed=parsed.num_malformed,
        )

    def metrics(self) -> Mapping[str, Metric]:
        """Return mask IoU, and COCO's average precision of masks and of boxes."""
        return {"masks": MaskScores(self._truth_of), "boxes": DetectionScores(self._truth_of)}

    def _truth_of(self, sample: Sample) -> Sequence[Instance] | None:
        if sample.suffix is not None:
            return read_masks(self.codec(), parse_masks(sample.suffix).masks, sample)
        return None if sample.instances is None else self._objects().in_scope(self._with_masks(sample))

    def _has_some(self, sample: Sample) -> bool:
        return self._objects().has_some(self._with_masks(sample))

    def _with_masks(self, sample: Sample) -> Sample:
        """Return the sample as if objects without a mask were not annotated, if that is what the setting wants."""
        if sample.instances is None or self.missing_masks is MissingMasks.refuse:
            return sample
        kept = tuple(one for one in sample.instances if one.mask is not None or one.is_crowd)
        return replace(sample, instances=kept)

    def _objects(self) -> ObjectList:
        return object_list(self, order=self.object_order, limit=self.max_objects, is_sayable=is_sayable)
