"""Scores told apart by a sample's category: a kind of question, a test set, a language."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from finetune.evaluate.metrics.direction import LOWER_IS_BETTER, NEUTRAL, has_direction
from finetune.types import Metric, Prediction, Sample

MEAN = "mean"


class ByCategory:
    """A metric over all samples, the same for each category, and the mean over categories.

    With the categories human and augmented, `relaxed_accuracy` is followed by `relaxed_accuracy/human`,
    `relaxed_accuracy/augmented` and `relaxed_accuracy/mean`. The mean gives every listed category that is present the
    same weight, however many samples it has. A category that is not listed is told apart as well, but is not in the
    mean: without "en" among them, it is the paper's average of its 34 other languages. What only says how was measured,
    or is part of a score already (`counting_accuracy/count_3`), is not told apart.

    Args:
        fresh: Makes the metric; called once for all samples, and once for each category.
        categories: The listed ones, in the order in which they are reported.
    """

    def __init__(self, fresh: Callable[[], Metric], categories: Sequence[str]) -> None:
        self._fresh = fresh
        self._categories = tuple(categories)
        self._overall = fresh()
        self._parts: dict[str, Metric] = {}

    def names(self) -> tuple[str, ...]:
        """Return all names but those of categories that are not listed, which nobody knows before they are met."""
        names = self._overall.names()
        told_apart = (f"{name}/{part}" for name in _told_apart(names) for part in (*self._categories, MEAN))
        return (*names, *told_apart)

    def update(self, prediction: Prediction, sample: Sample) -> float | None:
        """Take one prediction; return its own score where one is defined for a single sample."""
        if sample.category is not None:
            part = self._parts.setdefault(sample.category, self._fresh())
            part.update(prediction, sample)
        return self._overall.update(prediction, sample)

    def compute(self) -> dict[str, float]:
        """Return the values by name; a category without a value has none."""
        overall = self._overall.compute()
        unlisted = sorted(set(self._parts) - set(self._categories))
        present = [category for category in (*self._categories, *unlisted) if category in self._parts]
        values = {category: self._parts[category].compute() for category in present}
        for name in _told_apart(tuple(overall)):
            overall |= self._values_of(name, values)
        return overall

    def _values_of(self, name: str, values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
        of_name = {category: scores[name] for category, scores in values.items() if name in scores}
        listed = [value for category, value in of_name.items() if category in self._categories]
        mean = {f"{name}/{MEAN}": sum(listed) / len(listed)} if listed else {}
        return {f"{name}/{category}": value for category, value in of_name.items()} | mean


def told_apart(fresh: Callable[[], Metric], categories: Sequence[str]) -> Metric:
    """Return a fresh metric, told apart by categories where some are listed."""
    return ByCategory(fresh, categories) if categories else fresh()


def check_categories(categories: Sequence[str]) -> None:
    """Refuse names that a score could not be told apart by.

    Raises:
        ValueError: Naming those that are empty, listed twice, or mean something else in a score's name.
    """
    reserved = sorted({"", MEAN, *LOWER_IS_BETTER, *NEUTRAL} & set(categories))
    if reserved:
        raise ValueError(
            f"categories: {', '.join(map(repr, reserved))} cannot be the name of one; rename it in the data"
        )
    if len(set(categories)) < len(categories):
        raise ValueError(f"categories must differ, got {', '.join(categories)}")


def _told_apart(names: Iterable[str]) -> list[str]:
    return [name for name in names if "/" not in name and has_direction(name)]
