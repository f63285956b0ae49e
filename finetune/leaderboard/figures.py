"""The figures of the original's transfers, as published: figures.json beside this file, read strictly.

    {"experiment": "docvqa", "score": "ANLS", "split": "val", "called": "val", "percent": true,
     "source": "PaliGemma 2, Table 15", "values": {"paligemma-3b": {"224": 37.8, "448": 74.1}}}

and, in the same file, the class of each experiment's data set: a run of the experiment may have been given another one.

    {"docvqa": "datasets_adapters.published.docvqa.DocVqa"}

`split` and `score` are this project's names; `called` is what the source calls the split. A value is 100 times the
score's own where `percent` is true.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

_FILE = "figures.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of a published table: a task's score on one split, for several models and resolutions.

    Args:
        experiment: The file under conf/experiment that trains the task.
        called: What the source calls the split.
        percent: Whether the values are 100 times the score's own.
        source: Title of what it was published in.
        values: By model, such as "paligemma2-10b", and image size in pixels.
    """

    experiment: str
    score: str
    split: str
    called: str
    percent: bool
    source: str
    values: Mapping[tuple[str, int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Every figure.

    Args:
        sources: Where each source is to be found, by its title.
        datasets: Class of what each experiment's figures are of, as `_target_` says it.
    """

    rows: tuple[Figure, ...]
    sources: Mapping[str, str]
    datasets: Mapping[str, str]

    def of(self, experiment: str | None) -> tuple[Figure, ...]:
        """Return the figures of one experiment, none for one that is no transfer."""
        return tuple(row for row in self.rows if row.experiment == experiment)


@cache
def published() -> Figures:
    """Return the figures that this package holds."""
    text = resources.files("finetune.leaderboard").joinpath(_FILE).read_text(encoding="utf-8")
    return parse_figures(text, _FILE)


def parse_figures(text: str, where: str) -> Figures:
    """Read figures.

    Args:
        where: What messages call the file.

    Raises:
        ValueError: Naming the row that is not of the form above, repeats another, or has no known source or data set.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: {error}") from error
    if not isinstance(content, dict) or set(content) != {"sources", "datasets", "figures"}:
        raise ValueError(f"{where} must be an object with sources, datasets and figures")
    sources, datasets, listed = content["sources"], content["datasets"], content["figures"]
    if not _is_text_by_text(sources):
        raise ValueError(f"{where}: sources must say where each title is to be found")
    if not _is_text_by_text(datasets):
        raise ValueError(f"{where}: datasets must name the class of each experiment's data set")
    if not isinstance(listed, list):
        raise ValueError(f"{where}: figures must be a list")
    rows = tuple(_row(one, sources, f"{where}: figures[{number}]") for number, one in enumerate(listed))
    _refuse_repeated(rows, where)
    if unknown := [row.experiment for row in rows if row.experiment not in datasets]:
        raise ValueError(f"{where}: datasets has none for {unknown[0]}")
    return Figures(rows=rows, sources=sources, datasets=datasets)


def _row(one: Any, sources: Mapping[str, str], where: str) -> Figure:
    names = [field.name for field in fields(Figure)]
    if not isinstance(one, dict) or set(one) != set(names):
        raise ValueError(f"{where} must have {', '.join(names)}, and nothing else")
    texts = ("experiment", "score", "split", "called", "source")
    if not all(isinstance(one[name], str) and one[name] for name in texts):
        raise ValueError(f"{where}: {', '.join(texts)} must be texts")
    if not isinstance(one["percent"], bool):
        raise ValueError(f"{where}: percent must be true or false, got {one['percent']!r}")
    if one["source"] not in sources:
        raise ValueError(f"{where}: source {one['source']!r} is not among the sources: {', '.join(sources)}")
    return Figure(**{**one, "values": _values(one["values"], where)})


def _values(values: Any, where: str) -> dict[tuple[str, int], float]:
    if not isinstance(values, dict) or not values or not all(isinstance(sizes, dict) for sizes in values.values()):
        raise ValueError(f"{where}: values must be an object of models, each an object of image sizes")
    read = {}
    for model, sizes in values.items():
        for size, value in sizes.items():
            if not size.isdecimal() or isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"{where}: values.{model}.{size} must be a number by image size, got {value!r}")
            if not math.isfinite(value):
                raise ValueError(f"{where}: values.{model}.{size} must be finite, got {value}")
            read[model, int(size)] = float(value)
    return read


def _refuse_repeated(rows: Sequence[Figure], where: str) -> None:
    seen = set()
    for row in rows:
        for place in row.values:
            key = (row.experiment, row.score, row.split, *place)
            if key in seen:
                raise ValueError(f"{where}: two figures for {' '.join(map(str, key))}")
            seen.add(key)


def _is_text_by_text(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) and text for text in value.values())
