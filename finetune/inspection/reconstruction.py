"""How much of a split's masks survives as sixteen tokens: the ceiling of every score of masks on it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from finetune.geometry import intersection_over_union
from finetune.inspection.histograms import Histogram, histogram_of
from finetune.masks import mask_overlaps
from finetune.types import Instance

_SAME_BOX = 0.5
_BIN_PERCENT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskPair:
    """An annotated mask, what is read back of it out of the suffix, and their IoU."""

    annotated: Instance
    spoken: Instance
    overlap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """A pair as the page shows it, on a small picture of its image."""

    sample_id: str
    thumbnail_jpeg: bytes
    pair: MaskPair


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelOverlap:
    """The masks of one label."""

    label: str
    num_masks: int
    mean: float
    worst: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """IoU of a split's masks with themselves after encoding and decoding.

    Args:
        share_below_half: Of masks with an IoU below 0.5, which no model can find by any score's rules.
        labels: Worst mean first.
        worst: The worst masks of the split.
    """

    num_masks: int
    mean: float
    median: float
    share_below_half: float
    overlap_percent: Histogram | None
    labels: tuple[LabelOverlap, ...]
    worst: tuple[ShownPair, ...]


def pair_masks(annotated: Sequence[Instance], spoken: Sequence[Instance]) -> tuple[MaskPair, ...]:
    """Find for every mask that a suffix says the one that it was made from: it answers to its name, in the nearest box.

    Both are called by the annotated label, also where an expression named them.
    """
    masked = [one for one in annotated if one.mask is not None and not one.is_crowd]
    pairs = []
    for said in spoken:
        near = [one for one in masked if one.answers_to(said.label)]
        source = max(near, key=lambda one: intersection_over_union(one.box, said.box), default=None)
        if source is None or said.mask is None or intersection_over_union(source.box, said.box) <= _SAME_BOX:
            continue
        assert source.mask is not None, "the others were left out"
        overlap = float(mask_overlaps([said.mask], [source.mask])[0, 0])
        pairs.append(MaskPair(annotated=source, spoken=replace(said, label=source.label), overlap=overlap))
    return tuple(pairs)


def summarize(overlaps: Sequence[tuple[str, float]], worst: Sequence[ShownPair]) -> Reconstruction | None:
    """Count (label, IoU) of all masks of a split; None where it has none."""
    if not overlaps:
        return None
    by_label: dict[str, list[float]] = defaultdict(list)
    for label, overlap in overlaps:
        by_label[label].append(overlap)
    values = np.array([overlap for _, overlap in overlaps])
    labels = [
        LabelOverlap(label=label, num_masks=len(own), mean=sum(own) / len(own), worst=min(own))
        for label, own in by_label.items()
    ]
    return Reconstruction(
        num_masks=len(values),
        mean=float(values.mean()),
        median=float(np.median(values)),
        share_below_half=float((values < 0.5).mean()),
        # A perfect one counts to the last bin, and not to one beyond 100 %.
        overlap_percent=histogram_of(np.minimum(100 * values, 99.999).tolist(), width=_BIN_PERCENT),
        labels=tuple(sorted(labels, key=lambda label: label.mean)),
        worst=tuple(worst),
    )
