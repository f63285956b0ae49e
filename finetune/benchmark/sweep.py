"""How time and memory grow with the work: the same measurement at several sizes, and the slopes between them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from finetune.benchmark.choices import BenchSize, Sweep, Workload
from finetune.benchmark.statistics import exponent, slope

_POINTS = {
    Sweep.batch: [1, 2, 4, 8, 16],
    Sweep.suffix: [16, 32, 64, 128, 256],
    Sweep.image_size: [224, 448, 896],
}
_TINY_IMAGE_SIZES = [28, 56, 112]
_UNITS = {
    Sweep.batch: "examples in a step",
    Sweep.suffix: "suffix tokens of an example",
    Sweep.image_size: "image tokens of an example",
}
Measure = Callable[[Workload], dict[str, Any]]


def points_of(sweep: Sweep, size: BenchSize, given: Sequence[int]) -> list[int]:
    """Return what is measured: what was asked for, or what suits the size."""
    if given:
        return sorted(given)
    if sweep is Sweep.image_size and size is BenchSize["tiny"]:
        return _TINY_IMAGE_SIZES
    return _POINTS[sweep]


def workloads_of(workload: Workload, sweep: Sweep, points: Sequence[int]) -> Iterator[Workload]:
    """Yield the workload at each point."""
    for point in points:
        if sweep is Sweep.batch:
            yield replace(workload, batch=point)
        elif sweep is Sweep.suffix:
            yield replace(workload, suffix_tokens=point)
        else:
            yield replace(workload, image_size=point)


def sweep_section(workload: Workload, sweep: Sweep, sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the section that puts measurements at growing sizes together.

    Args:
        workload: Of any point.
        sections: What `measure_training` returned at each point, in ascending order.
    """
    sizes = [_size(section, sweep) for section in sections]
    names = list(sections[0]["variants"])
    return {
        "kind": "sweep",
        "title": f"{workload.title}: growing {sweep.name}",
        "over": sweep.name,
        "unit": _UNITS[sweep],
        "sizes": sizes,
        "points": list(sections),
        "slopes": {name: _slopes(name, sizes, sections) for name in names},
    }


def curve(name: str, measure: str, sizes: Sequence[float], sections: Sequence[Mapping[str, Any]]) -> list[list[float]]:
    """Return [size, number] of one variant wherever it was measured."""
    rows = [section["variants"][name] for section in sections]
    return [[size, row[measure]] for size, row in zip(sizes, rows, strict=True) if row.get(measure) is not None]


def _slopes(name: str, sizes: Sequence[float], sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rise per unit, and the exponent, of time and of memory, where there are two points."""
    found: dict[str, Any] = {}
    for measure in ("milliseconds", "extra_mib"):
        points = [point for point in curve(name, measure, sizes, sections) if point[1] > 0]
        if len({size for size, _ in points}) > 1:
            xs, ys = zip(*points, strict=True)
            found[measure] = {"per_unit": slope(xs, ys), "exponent": exponent(xs, ys)}
    return found


def _size(section: Mapping[str, Any], sweep: Sweep) -> float:
    workload, samples = section["workload"], section["samples"]
    if sweep is Sweep.image_size:
        return float(samples["image_tokens"])
    return float(workload["batch"] if sweep is Sweep.batch else workload["suffix_tokens"])
