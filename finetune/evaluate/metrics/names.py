"""Which scores a run will have, known before anything is loaded."""

from collections.abc import Mapping

from finetune.evaluate.metrics.direction import has_direction
from finetune.names import hint
from finetune.types import Recipe


def score_names(recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
    """Return every score that an evaluation may have.

    Args:
        recipes: By part of the mixture; the only one of a run without parts is called "".
    """
    return tuple(
        f"{part}/{name}" if part else name
        for part, recipe in recipes.items()
        for metric in recipe.metrics().values()
        for name in metric.names()
    )


def check_best_metric(name: str, recipes: Mapping[str, Recipe]) -> None:
    """Refuse to choose a checkpoint by a score that the run will not have, or that has no direction.

    Raises:
        ValueError: Naming the setting and the scores that it may name.
    """
    known = [known for known in score_names(recipes) if has_direction(known)]
    if name not in known:
        raise ValueError(
            f"evaluation.best_metric={name} is no score of this run by which a checkpoint can be the best; "
            f"{hint(name, known)}"
        )
