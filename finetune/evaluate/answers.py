"""Let a model say something to held-out samples: each sample exactly once, on whichever rank has it.

Every rank generates for its own samples; the answers meet on all ranks, in the source's order.
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol, TypeVar, runtime_checkable

from finetune.data.pictures import picture_of
from finetune.data.prefixes import Asked
from finetune.data.skips import Skip
from finetune.reporting.contact_sheet import contact_sheet
from finetune.reporting.drawing import jpeg_bytes
from finetune.reporting.progress import Progress
from finetune.types import ImageReference, Prediction, Recipe, Sample

T = TypeVar("T")

_THUMBNAIL_PIXELS = 448


@runtime_checkable
class Prefixes(Protocol):
    """One rank's share of the samples to evaluate (`finetune.data.prefixes.PrefixLoader`)."""

    @property
    def total(self) -> int:
        """How many samples all ranks have together, skipped ones included."""
        ...

    @property
    def largest_share(self) -> int:
        """How many samples the rank with the most of them has."""
        ...

    def __iter__(self) -> Iterator[Asked | Skip]:
        """Yield this rank's samples."""
        ...


@runtime_checkable
class Ranks(Protocol):
    """What an evaluation does together with other processes (`finetune.engine.distributed.Ranks`)."""

    @property
    def is_main(self) -> bool:
        """Whether this process scores and reports."""
        ...

    def gather(self, values: Sequence[Any]) -> list[Any]:
        """Put the objects of all ranks one after another; every rank gets them."""
        ...

    def on_main(self, function: Callable[[], T]) -> T:
        """Call a function on the main rank; every rank returns its result or raises its error."""
        ...


class EvaluationStoppedError(Exception):
    """An evaluation was given up half-way, on every rank, because one of them was asked to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPart:
    """Samples that one recipe understands. `name` tells the parts of a mixture apart; "" where there is only one."""

    recipe: Recipe
    prefixes: Prefixes
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """What turns prefixes into text, here and on the other ranks.

    Args:
        generate_ids: Yields each sample with the new ids, without EOS, when it is done; in no particular order.
        decode_ids: The text of ids.
        round_size: So many samples of every rank are generated for, then the ranks tell each other what was said.
        gallery_size: How many samples get a thumbnail, from the first one.
        should_stop: Asked once a round whether this process was told to end.
    """

    generate_ids: Callable[[Iterator[Asked]], Iterator[tuple[Asked, list[int]]]]
    decode_ids: Callable[[list[int]], str]
    round_size: int
    ranks: Ranks
    progress: Progress
    gallery_size: int
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One sample with what the model said to it. The sample has no images: they need not travel between ranks."""

    index: int
    prefix: str
    prediction: Prediction
    sample: Sample
    thumbnail_jpeg: bytes | None


def answer(part: EvaluationPart, evaluator: Evaluator) -> tuple[list[Answer], list[Skip]]:
    """Let the model say something to every sample; every rank gets all answers. Raises as `answers_in_order`."""
    outcomes = list(answers_in_order(part, evaluator))
    answers = [one for one in outcomes if isinstance(one, Answer)]
    skips = [one for one in outcomes if isinstance(one, Skip)]
    return answers, skips


def answers_in_order(part: EvaluationPart, evaluator: Evaluator) -> Iterator[Answer | Skip]:
    """Let the model say something to every sample; every rank gets all answers and skips, in the source's order.

    Each is yielded as soon as those before it are there. Every rank must take them all.

    Raises:
        EvaluationStoppedError: If a rank was told to end.
        RuntimeError: If a sample came twice or not at all, which would be this project's mistake.
    """
    held: dict[int, Answer | Skip] = {}
    twice: list[int] = []
    num_given = 0
    for outcomes in _rounds(part, evaluator):
        for one in outcomes:
            if one.index in held or one.index < num_given:
                twice.append(one.index)
            held[one.index] = one
        while num_given in held:
            yield held.pop(num_given)
            num_given += 1
    total = part.prefixes.total
    missing = [index for index in range(num_given, total) if index not in held]
    if twice or missing or held:
        where = f"twice: {twice[:5]}, missing: {missing[:5]}"
        raise RuntimeError(f"evaluation must see each of {total} samples once; {where}")


def _rounds(part: EvaluationPart, evaluator: Evaluator) -> Iterator[list[Answer | Skip]]:
    """Yield what all ranks have generated for, round by round: equally many rounds on every rank."""
    progress, task, started = evaluator.progress, named(part, "evaluation"), time.monotonic()
    total, num_done = part.prefixes.total, 0
    own = _own_answers(part, evaluator)
    progress.begin(task, total)
    try:
        for _ in range(-(-part.prefixes.largest_share // evaluator.round_size)):
            # Asked of all ranks before any of them computes: they must agree, and at once.
            if any(evaluator.ranks.gather([evaluator.should_stop()])):
                raise EvaluationStoppedError
            outcomes = evaluator.ranks.gather(list(islice(own, evaluator.round_size)))
            num_done += len(outcomes)
            progress.advance(task, num_done, {"examples_per_second": num_done / (time.monotonic() - started)})
            yield outcomes
    finally:
        own.close()
        progress.end(task)


def named(part: EvaluationPart, name: str) -> str:
    """Put the part's name before what is called `name` in it, where a mixture has several."""
    return f"{part.name}/{name}" if part.name else name


def _own_answers(part: EvaluationPart, evaluator: Evaluator) -> Generator[Answer | Skip, None, None]:
    """Generate for this rank's samples; yield each answer when it is there, and each skip soon."""
    skips: list[Skip] = []

    def usable() -> Generator[Asked, None, None]:
        for one in part.prefixes:
            if isinstance(one, Skip):
                skips.append(one)
            else:
                yield one

    with closing(usable()) as asked:
        for one, ids in evaluator.generate_ids(asked):
            yield _answer(one, evaluator.decode_ids(ids), part.recipe, evaluator.gallery_size)
            while skips:
                yield skips.pop()
    yield from skips


def _answer(asked: Asked, text: str, recipe: Recipe, gallery_size: int) -> Answer:
    sample, example = asked.encoded.sample, asked.encoded.example
    prediction = recipe.decode(text, sample)
    # Boxes are drawn on the picture, and refer to the first image.
    has_boxes = bool(prediction.objects or sample.instances)
    shown = example.images[:1] if has_boxes else example.images
    return Answer(
        index=asked.index,
        prefix=example.prefix,
        prediction=prediction,
        sample=replace(sample, images=()),
        thumbnail_jpeg=_thumbnail(shown) if asked.index < gallery_size else None,
    )


def _thumbnail(images: Sequence[ImageReference]) -> bytes:
    return jpeg_bytes(contact_sheet([picture_of(image) for image in images], _THUMBNAIL_PIXELS))
