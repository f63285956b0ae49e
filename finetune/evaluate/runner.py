"""Generate text for held-out samples, read it as the recipe does, and score it: each sample exactly once.

Every rank generates for its own samples; the answers meet, in the source's order, on the main rank, where the metrics
see them as if one process had done it all.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from finetune.data.loader import PrefixBatch, Skip
from finetune.data.packing import Batch
from finetune.data.pictures import picture_of
from finetune.reporting.contact_sheet import contact_sheet
from finetune.reporting.drawing import jpeg_bytes
from finetune.reporting.progress import Progress
from finetune.reporting.reporter import Reporter
from finetune.reporting.rows import PredictionRow
from finetune.tokens.codec_record import UsesCodec
from finetune.types import ImageReference, Instance, Metric, Prediction, Recipe, Sample

T = TypeVar("T")

_THUMBNAIL_PIXELS = 448


@runtime_checkable
class PrefixBatches(Protocol):
    """One rank's share of the samples to evaluate (`finetune.data.loader.PrefixLoader`)."""

    @property
    def total(self) -> int:
        """How many samples all ranks have together, skipped ones included."""
        ...

    def __len__(self) -> int:
        """Return how many batches this rank has."""
        ...

    def __iter__(self) -> Iterator[PrefixBatch]:
        """Yield them."""
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
    batches: PrefixBatches
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """What turns prefixes into text, here and on the other ranks.

    Args:
        generate_ids: New ids for each prefix of a batch, without EOS.
        decode_ids: The text of ids.
        gallery_size: How many samples get a thumbnail, from the first one.
        should_stop: Asked between batches whether this process was told to end.
    """

    generate_ids: Callable[[Batch], list[list[int]]]
    decode_ids: Callable[[list[int]], str]
    ranks: Ranks
    progress: Progress
    gallery_size: int
    should_stop: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """Scores and what they were given for.

    Args:
        values: By metric's name, after "<part>/" in a mixture; the same on every rank.
        rows: One for each sample, in order; on the main rank only.
        skips: Samples that could not be used, of all ranks.
    """

    values: Mapping[str, float]
    rows: tuple[PredictionRow, ...]
    num_samples: int
    skips: tuple[Skip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One sample with what the model said to it. The sample has no images: they need not travel between ranks."""

    index: int
    prefix: str
    prediction: Prediction
    sample: Sample
    thumbnail_jpeg: bytes | None


def evaluate_all(parts: Sequence[EvaluationPart], evaluator: Evaluator) -> EvaluationResult:
    """Evaluate the parts of a mixture one after another, or the one part that there is. Raises as `evaluate`."""
    each = replace(evaluator, gallery_size=-(-evaluator.gallery_size // len(parts)))
    results = [evaluate(part, each) for part in parts]
    return EvaluationResult(
        values={name: value for result in results for name, value in result.values.items()},
        rows=tuple(row for result in results for row in result.rows),
        num_samples=sum(result.num_samples for result in results),
        skips=tuple(skip for result in results for skip in result.skips),
    )


def evaluate(part: EvaluationPart, evaluator: Evaluator) -> EvaluationResult:
    """Generate and score.

    Every rank must call this with its own share of the same samples.

    Raises:
        ValueError: If not one sample can be used.
        EvaluationStoppedError: If a rank was told to end.
        BadSampleError: With data.on_bad_sample=stop, at the first bad sample.
    """
    answers, skips = answer(part, evaluator)
    if not answers:
        raise ValueError(f"no sample of the evaluation split can be used: {len(skips)} of {part.batches.total} skipped")
    values, scores = evaluator.ranks.on_main(lambda: _score(answers, part.recipe.metrics()))
    return EvaluationResult(
        values={_named(part, name): value for name, value in values.items()},
        rows=rows_of(part, answers, scores) if evaluator.ranks.is_main else (),
        num_samples=len(answers),
        skips=tuple(skips),
    )


def answer(part: EvaluationPart, evaluator: Evaluator) -> tuple[list[Answer], list[Skip]]:
    """Let the model say something to every sample; every rank gets all answers, in the source's order.

    Raises:
        EvaluationStoppedError: If a rank was told to end.
        RuntimeError: If a sample came twice or not at all, which would be this project's mistake.
    """
    answers: list[Answer] = []
    skips: list[Skip] = []
    progress, task, started = evaluator.progress, _named(part, "evaluation"), time.monotonic()
    progress.begin(task, len(part.batches))
    is_stopped = False
    for done, batch in enumerate(part.batches, start=1):
        # Remembered, because the ranks must agree on what this one saw.
        if is_stopped := evaluator.should_stop():
            break
        answers.extend(_answers(batch, part.recipe, evaluator))
        skips.extend(batch.skips)
        progress.advance(task, done, {"examples_per_second": len(answers) / (time.monotonic() - started)})
    progress.end(task)
    if any(evaluator.ranks.gather([is_stopped])):
        raise EvaluationStoppedError
    answers = sorted(evaluator.ranks.gather(answers), key=lambda one: one.index)
    skips = sorted(evaluator.ranks.gather(skips), key=lambda skip: skip.index)
    _check_complete([*(one.index for one in answers), *(skip.index for skip in skips)], part.batches.total)
    return answers, skips


def rows_of(
    part: EvaluationPart, answers: Sequence[Answer], scores: Sequence[float | None]
) -> tuple[PredictionRow, ...]:
    """Put answers as people look at them, each with its own score where it has one."""
    return tuple(
        PredictionRow(
            sample_id=_named(part, one.sample.sample_id),
            prefix=one.prefix,
            text=one.prediction.text,
            reference=part.recipe.reference(one.sample),
            score=score,
            predicted=one.prediction.objects,
            truth=truth_as_told(part.recipe, one.sample),
            thumbnail_jpeg=one.thumbnail_jpeg,
        )
        for one, score in zip(answers, scores, strict=True)
    )


def truth_as_told(recipe: Recipe, sample: Sample) -> tuple[Instance, ...] | None:
    """Return the annotated objects, with masks where the task has them: else they would only be in the way."""
    if sample.instances is None or isinstance(recipe, UsesCodec):
        return sample.instances
    return tuple(replace(instance, mask=None) for instance in sample.instances)


def report_evaluation(result: EvaluationResult, reporter: Reporter, step: int) -> None:
    """Log the scores as "eval/<name>", the predictions and the skips, and say the scores."""
    reporter.log({f"eval/{name}": value for name, value in result.values.items()}, step)
    reporter.log_skips(result.skips, step)
    reporter.log_predictions(result.rows, step)
    scores = "  ".join(f"{name} {value:.4g}" for name, value in result.values.items())
    reporter.say(f"step {step}: {scores}  ({result.num_samples} samples, {len(result.skips)} skipped)")


def _answers(prefixes: PrefixBatch, recipe: Recipe, evaluator: Evaluator) -> Iterator[Answer]:
    if prefixes.batch is None:
        return
    texts = [evaluator.decode_ids(ids) for ids in evaluator.generate_ids(prefixes.batch)]
    for index, sample, example, text in zip(prefixes.indices, prefixes.samples, prefixes.examples, texts, strict=True):
        prediction = recipe.decode(text, sample)
        # Boxes are drawn on the picture, and refer to the first image.
        has_boxes = bool(prediction.objects or sample.instances)
        shown = example.images[:1] if has_boxes else example.images
        yield Answer(
            index=index,
            prefix=example.prefix,
            prediction=prediction,
            sample=replace(sample, images=()),
            thumbnail_jpeg=_thumbnail(shown) if index < evaluator.gallery_size else None,
        )


def _score(answers: Sequence[Answer], metrics: Mapping[str, Metric]) -> tuple[dict[str, float], list[float | None]]:
    """Return all values, and each sample's own score by the first metric that gives it one."""
    scores: list[float | None] = []
    for one in answers:
        own = [metric.update(one.prediction, one.sample) for metric in metrics.values()]
        scores.append(next((score for score in own if score is not None), None))
    return {name: value for metric in metrics.values() for name, value in metric.compute().items()}, scores


def _thumbnail(images: Sequence[ImageReference]) -> bytes:
    return jpeg_bytes(contact_sheet([picture_of(image) for image in images], _THUMBNAIL_PIXELS))


def _named(part: EvaluationPart, name: str) -> str:
    return f"{part.name}/{name}" if part.name else name


def _check_complete(indices: Sequence[int], total: int) -> None:
    if sorted(indices) != list(range(total)):
        twice = sorted({index for index in indices if indices.count(index) > 1})[:5]
        missing = sorted(set(range(total)) - set(indices))[:5]
        raise RuntimeError(f"evaluation must see each of {total} samples once; twice: {twice}, missing: {missing}")
