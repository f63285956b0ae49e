"""What one run trains on: one (source, recipe) pair, or several in fixed shares.

The stream of training has no end, and any position of it can be asked for. With three samples in each of two sources
(a0 a1 a2 and b0 b1 b2), an epoch is six long; with weights 2 and 1 the stream of seed 0 begins

    position  0  1  2  3  4  5  | 6  7  8  9  10 11 |
    draw      b2 a0 a1 b0 a2 a2 | b1 a1 a0 b2 a1 a0 | ...

An epoch is as long as all sources together (as in the original). Each ingredient gets its share of every epoch exactly,
spread evenly over it, and walks through a shuffle of its own source, all of it before any of it comes again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Int64

from finetune.data.order import Groups, grouped_order, position_to_index, stable_hash
from finetune.settings import above
from finetune.types import BadSampleError, Recipe, Sample, Source


@dataclass(frozen=True, kw_only=True)
class MixturePart:
    """One task of a mixture: a recipe on a data set.

    Args:
        dataset: Where its samples come from; None: the run's own `dataset`.
        weight: Its share, relative to the other parts.
    """

    recipe: Any
    dataset: Any = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        above("weight", self.weight, 0)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Several tasks in one run: what `recipe=mixture` chooses. Each part is a MixturePart, by a name of its own."""

    parts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.parts:
            raise ValueError("a mixture needs at least one entry in recipe.parts, such as recipe.parts.captions")
        for name, part in self.parts.items():
            if not isinstance(part, MixturePart):
                raise ValueError(f"recipe.parts.{name} must be a {MixturePart.__module__}.MixturePart, got {part!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """One (source, recipe) pair of a run. A run with a single task has one.

    Args:
        groups: Rows that come together, with data.keep_images_together; None: every row is shuffled on its own.
    """

    name: str
    source: Source
    recipe: Recipe
    weight: float = 1.0
    groups: Groups | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What stands at one position of the stream.

    Args:
        index: Row of the ingredient's source.
        epoch: How often the ingredient has been walked through before, which its random choices are seeded by.
    """

    ingredient: Ingredient
    index: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSet:
    """The endless stream of training samples, a pure function of the seed and the position.

    Args:
        shares: How many positions of each epoch belong to each ingredient.

    Raises:
        ValueError: If an ingredient has no samples, or a weight so small that it would never be drawn.
    """

    ingredients: tuple[Ingredient, ...]
    seed: int
    shares: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        for ingredient in self.ingredients:
            if len(ingredient.source) == 0:
                raise ValueError(f"{ingredient.name}: there is nothing to train on, no sample is left in its split")
        shares = _split(len(self), [ingredient.weight for ingredient in self.ingredients])
        for ingredient, share in zip(self.ingredients, shares, strict=True):
            if share == 0:
                raise ValueError(
                    f"{ingredient.name}: weight {ingredient.weight} gives it none of the {len(self)} examples of an "
                    "epoch; raise its weight or remove it"
                )
        object.__setattr__(self, "shares", shares)

    def __len__(self) -> int:
        """Return how many examples make an epoch."""
        return sum(len(ingredient.source) for ingredient in self.ingredients)

    def draw(self, position: int) -> Draw:
        """Return what stands at `position`, 0 or more, of the stream."""
        epoch, place = divmod(position, len(self))
        remaining = len(self)
        for ingredient, share in zip(self.ingredients, self.shares, strict=True):
            # Of the first k places, k * share // remaining are this ingredient's; the others go on to the next ones.
            before = place * share // remaining
            if (place + 1) * share // remaining > before:
                return self._draw_from(ingredient, epoch * share + before)
            place -= before
            remaining -= share
        raise AssertionError("the last ingredient takes every place that is left to it")

    def _draw_from(self, ingredient: Ingredient, ordinal: int) -> Draw:
        length = len(ingredient.source)
        epoch, place = divmod(ordinal, length)
        seed = stable_hash("ingredient", self.seed, ingredient.name)
        if ingredient.groups is not None:
            index = int(grouped_order(seed, epoch, ingredient.groups)[place])
        else:
            index = position_to_index(seed, epoch, place, length, ingredient.source.block_size)
        return Draw(ingredient=ingredient, index=index, epoch=epoch)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Some rows of a source, in the source's order."""

    source: Source
    indices: Int64[np.ndarray, " kept"]

    @property
    def block_size(self) -> int | None:
        """As the source's: its rows stay in their order."""
        return self.source.block_size

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.source[int(self.indices[index])]


def select(source: Source, takes_part: Callable[[Sample], bool]) -> Selection:
    """Keep the rows that pass a recipe's test, reading each row once.

    Rows that cannot be read are kept: what becomes of them is for `data.on_bad_sample` to say, when they are drawn.
    """
    kept = [index for index in range(len(source)) if _passes(source, index, takes_part)]
    return Selection(source=source, indices=np.array(kept, dtype=np.int64))


def _passes(source: Source, index: int, takes_part: Callable[[Sample], bool]) -> bool:
    try:
        return takes_part(source[index])
    except BadSampleError:
        return True


def _split(total: int, weights: list[float]) -> tuple[int, ...]:
    """Divide `total` by weight into whole numbers: largest remainder first, earlier ingredient first at a tie."""
    whole = sum(Fraction(weight) for weight in weights)
    exact = [Fraction(weight) * total / whole for weight in weights]
    shares = [int(share) for share in exact]
    by_remainder = sorted(range(len(weights)), key=lambda number: shares[number] - exact[number])
    for number in by_remainder[: total - sum(shares)]:
        shares[number] += 1
    return tuple(shares)
