"""What is in a split, counted: every sample read, encoded and measured as training would."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from finetune.data.encode import SampleEncoder
from finetune.data.skips import Skip
from finetune.data.workers import load_in_order
from finetune.inspection.histograms import Histogram, histogram_of
from finetune.inspection.reading import Reader, Reading, ShownSample
from finetune.inspection.reconstruction import Reconstruction, summarize
from finetune.reporting.progress import Progress
from finetune.types import Recipe, Source

_TASK = "inspect"
_MOST_COMMON = 12
_MOST_WORST = 8
_LONGEST_SUFFIX = 120
_BOX_SIDE_BIN_PERCENT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelCount:
    """One label. `median_side` is the square root of the median box area, in percent of the image."""

    label: str
    num_boxes: int
    num_images: int
    median_side: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Samples that share something, group by group, each as (origin, sample id)."""

    what: str
    groups: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything that was found in one split.

    Args:
        skips: The samples that cannot be used, all of them.
        num_too_long: Samples over `max_text_tokens`, refused or cut.
        text_tokens: Prefix, newline, suffix and EOS of every sample that could be read, before anything is cut.
        longest: The longest of them, uncut.
        labels: What is annotated, most boxes first; then labels that the source knows and no box has.
        side_percent: Square root of box areas, in percent of the image.
        objects_per_image: None where objects are not annotated.
        image_sizes: (height, width) with counts, most frequent first.
        common_suffixes: Those that occur more than once, most frequent first.
        notes: What source, decoding and recipe left out or changed on purpose.
        reconstruction: What masks lose as tokens; None where no suffix says a mask that was annotated.
    """

    num_samples: int
    skips: tuple[Skip, ...]
    max_text_tokens: int
    num_too_long: int
    text_tokens: Histogram | None
    longest: ShownSample | None
    labels: tuple[LabelCount, ...]
    side_percent: Histogram | None
    objects_per_image: Histogram | None
    image_sizes: tuple[tuple[tuple[int, int], int], ...]
    num_image_sizes: int
    common_suffixes: tuple[tuple[str, int], ...]
    num_suffixes: int
    duplicates: tuple[Duplicates, ...]
    notes: Mapping[str, int]
    shown: tuple[ShownSample, ...]
    reconstruction: Reconstruction | None = None

    @property
    def num_usable(self) -> int:
        """Samples that training would use."""
        return self.num_samples - len(self.skips)

    @property
    def num_boxes(self) -> int:
        """Annotated boxes in usable samples."""
        return sum(count.num_boxes for count in self.labels)


def inspect_split(
    source: Source, recipe: Recipe, encoder: SampleEncoder, *, num_shown: int, progress: Progress, seed: int = 0
) -> Inspection:
    """Read every sample of a split through recipe and encoder, and count what is there.

    Bad samples are counted, whatever `data.on_bad_sample` says.

    Args:
        num_shown: How many samples the result can show, spread evenly over the split.
        seed: The run's, for the same random choices as in its first epoch.
    """
    total = len(source)
    chosen = frozenset(np.linspace(0, total - 1, min(num_shown, total)).round().astype(int).tolist())
    reader = Reader(source=source, recipe=recipe, encoder=encoder, seed=seed, shown=chosen)
    readings = []
    progress.begin(_TASK, total)
    for index, reading in enumerate(load_in_order(reader, range(total), encoder.data.num_workers or 0)):
        readings.append(reading)
        progress.advance(_TASK, index + 1, {})
    progress.end(_TASK)
    return _summarize(readings, reader)


def _summarize(readings: list[Reading], reader: Reader) -> Inspection:
    good = [reading for reading in readings if reading.skip is None]
    lengths = [reading.num_text_tokens for reading in readings]
    annotated = [reading.objects for reading in good if reading.objects is not None]
    sizes = Counter(reading.image_size for reading in good)
    suffixes = Counter(reading.suffix[:_LONGEST_SUFFIX] for reading in good)
    return Inspection(
        num_samples=len(readings),
        skips=tuple(reading.skip for reading in readings if reading.skip is not None),
        max_text_tokens=reader.encoder.data.max_text_tokens,
        num_too_long=sum(reading.is_too_long for reading in readings),
        text_tokens=histogram_of([length for length in lengths if length]),
        longest=reader.show_whole(lengths.index(max(lengths))) if any(lengths) else None,
        labels=_count_labels(good),
        side_percent=histogram_of(_sides(good), width=_BOX_SIDE_BIN_PERCENT),
        objects_per_image=histogram_of([len(objects) for objects in annotated]),
        image_sizes=tuple(sizes.most_common(_MOST_COMMON)),
        num_image_sizes=len(sizes),
        common_suffixes=tuple((text, count) for text, count in suffixes.most_common(_MOST_COMMON) if count > 1),
        num_suffixes=len(suffixes),
        duplicates=_find_duplicates(readings),
        notes=_sum_notes(good),
        shown=tuple(reading.shown for reading in good if reading.shown is not None),
        reconstruction=_reconstruct(readings, reader),
    )


def _reconstruct(readings: list[Reading], reader: Reader) -> Reconstruction | None:
    overlaps = [(overlap, key, i) for key, one in enumerate(readings) for i, (_, overlap) in enumerate(one.overlaps)]
    worst = [reader.show_pair(key, number) for _, key, number in sorted(overlaps)[:_MOST_WORST]]
    return summarize([overlap for reading in readings for overlap in reading.overlaps], worst)


def _sides(readings: Iterable[Reading]) -> list[float]:
    return [100 * instance.box.area**0.5 for reading in readings for instance in reading.objects or ()]


def _count_labels(readings: Iterable[Reading]) -> tuple[LabelCount, ...]:
    sides: dict[str, list[float]] = defaultdict(list)
    num_images: Counter[str] = Counter()
    for reading in readings:
        sides.update({label: [] for label in reading.label_set if label not in sides})
        for instance in reading.objects or ():
            sides[instance.label].append(100 * instance.box.area**0.5)
        num_images.update({instance.label for instance in reading.objects or ()})
    counts = [
        LabelCount(
            label=label,
            num_boxes=len(of_label),
            num_images=num_images[label],
            median_side=float(np.median(of_label)) if of_label else 0.0,
        )
        for label, of_label in sides.items()
    ]
    return tuple(sorted(counts, key=lambda count: -count.num_boxes))


def _find_duplicates(readings: Iterable[Reading]) -> tuple[Duplicates, ...]:
    by_kind: dict[str, dict[object, list[tuple[str, str]]]] = {
        "the same id": defaultdict(list),
        "the same image": defaultdict(list),
        "the same image, prefix and suffix": defaultdict(list),
    }
    for reading in readings:
        name = (reading.origin, reading.sample_id)
        if reading.sample_id:
            by_kind["the same id"][reading.sample_id].append(name)
        if reading.skip is None:
            by_kind["the same image"][reading.image_digest].append(name)
            by_kind["the same image, prefix and suffix"][reading.example_digest].append(name)
    return tuple(
        Duplicates(what=what, groups=tuple(tuple(group) for group in groups.values() if len(group) > 1))
        for what, groups in by_kind.items()
    )


def _sum_notes(readings: Iterable[Reading]) -> dict[str, int]:
    notes: Counter[str] = Counter()
    for reading in readings:
        notes.update(reading.notes)
    return dict(notes.most_common())
