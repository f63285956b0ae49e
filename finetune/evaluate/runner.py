"""Score what a model says to held-out samples, read as the recipe does: each sample exactly once.

The metrics see all ranks' answers on the main rank, as if one process had given them all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from finetune.data.skips import Skip
from finetune.evaluate.answers import Answer, EvaluationPart, Evaluator, answer, named
from finetune.reporting.reporter import Reporter
from finetune.reporting.rows import PredictionRow
from finetune.tokens.codec_record import UsesCodec
from finetune.types import Instance, Metric, Recipe, Sample


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
        raise ValueError(
            f"no sample of the evaluation split can be used: {len(skips)} of {part.prefixes.total} skipped"
        )
    values, scores = evaluator.ranks.on_main(lambda: _score(answers, part.recipe.metrics()))
    return EvaluationResult(
        values={named(part, name): value for name, value in values.items()},
        rows=rows_of(part, answers, scores) if evaluator.ranks.is_main else (),
        num_samples=len(answers),
        skips=tuple(skips),
    )


def rows_of(
    part: EvaluationPart, answers: Sequence[Answer], scores: Sequence[float | None]
) -> tuple[PredictionRow, ...]:
    """Put answers as people look at them, each with its own score where it has one."""
    return tuple(
        PredictionRow(
            sample_id=named(part, one.sample.sample_id),
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


def _score(answers: Sequence[Answer], metrics: Mapping[str, Metric]) -> tuple[dict[str, float], list[float | None]]:
    """Return all values, and each sample's own score by the first metric that gives it one."""
    scores: list[float | None] = []
    for one in answers:
        own = [metric.update(one.prediction, one.sample) for metric in metrics.values()]
        scores.append(next((score for score in own if score is not None), None))
    return {name: value for metric in metrics.values() for name, value in metric.compute().items()}, scores
