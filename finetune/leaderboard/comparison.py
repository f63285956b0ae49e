"""A run's scores beside the published ones: which figure belongs to which score, and whether the two compare at all."""

from collections.abc import Sequence
from dataclasses import dataclass

from finetune.leaderboard.figures import Figure, Figures
from finetune.leaderboard.run_result import RunResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One score of one run, as the figure is written: times 100 where that is.

    Args:
        score: Its name; "" for a run without any.
        value: The run's; None: it has none yet.
        published: The figure that comes closest; None: nothing was published for this experiment.
        told_by: Title of the figure's source.
        marks: Why the two do not compare; none of them: they do.
    """

    result: RunResult
    score: str
    value: float | None
    published: float | None
    told_by: str | None
    marks: tuple[str, ...]

    @property
    def difference(self) -> float | None:
        """The run's value less the figure, where they compare."""
        if self.value is None or self.published is None or self.marks:
            return None
        return self.value - self.published


def compare(result: RunResult, figures: Figures) -> tuple[Comparison, ...]:
    """Set each score that something was published for beside its figure.

    A run that nothing was published for shows the score that its best checkpoint is chosen by, else its first one.
    """
    published = figures.of(result.experiment)
    names = list(dict.fromkeys(figure.score for figure in published))
    scored = [
        name
        for name in names
        if not result.scores or any(_value(result, figure) is not None for figure in published if figure.score == name)
    ]
    if not scored:
        return (_alone(result),)
    dataset = figures.datasets[published[0].experiment]
    return tuple(
        _beside(result, name, [figure for figure in published if figure.score == name], dataset) for name in scored
    )


def _alone(result: RunResult) -> Comparison:
    names = [name for name in (result.best_metric, *result.scores) if name in result.scores]
    score = str(names[0]) if names else ""
    return Comparison(
        result=result,
        score=score,
        value=result.scores.get(score),
        published=None,
        told_by=None,
        marks=result.doubts,
    )


def _beside(result: RunResult, score: str, published: Sequence[Figure], dataset: str) -> Comparison:
    figure, (model, image_size) = min(
        ((figure, place) for figure in published for place in figure.values), key=lambda one: _distance(result, *one)
    )
    value = _value(result, figure)
    factor = 100 if figure.percent else 1
    marks = list(result.doubts)
    if result.dataset not in (None, dataset):
        marks.append(f"the figure is of {_class_name(dataset)}, not of {_class_name(str(result.dataset))}")
    if not _is_same_split(result, figure):
        marks.append(f"the figure is of {figure.called}")
    if model != result.model:
        marks.append(f"the figure is of {model}")
    if image_size != result.image_size:
        marks.append(f"the figure is at {image_size} pixels")
    return Comparison(
        result=result,
        score=score,
        value=None if value is None else factor * value,
        published=figure.values[model, image_size],
        told_by=figure.source,
        marks=tuple(marks),
    )


def _class_name(target: str) -> str:
    return target.rpartition(".")[2]


def _distance(result: RunResult, figure: Figure, place: tuple[str, int]) -> tuple[bool, bool, int]:
    """Order figures by how far they are from the run: the model counts most, then the split, then the resolution."""
    model, image_size = place
    apart = abs(image_size - result.image_size) if result.image_size is not None else image_size
    return model != result.model, not _is_same_split(result, figure), apart


def _value(result: RunResult, figure: Figure) -> float | None:
    """Return the run's score; that of a test set alone may go without the set's name."""
    value = result.scores.get(figure.score)
    if value is None and figure.score.endswith(f"/{figure.split}") and _is_same_split(result, figure):
        return result.scores.get(figure.score.removesuffix(f"/{figure.split}"))
    return value


def _is_same_split(result: RunResult, figure: Figure) -> bool:
    """Whether the score is of the figure's split: all that was evaluated, or the one of several in its name."""
    split = result.split.replace(" ", "")
    is_told_apart = figure.score.endswith(f"/{figure.split}") and figure.score in result.scores
    return split == figure.split or (is_told_apart and figure.split in split.split("+"))
