"""The mean of a score that each sample has by itself."""

from finetune.evaluate.metrics.answers import exact_match
from finetune.evaluate.metrics.mean import MeanScore
from finetune.types import Prediction, Sample


def _sample(*answers: str) -> Sample:
    return Sample(sample_id="1", origin="test", images=(), answers=answers)


def _says(text: str) -> Prediction:
    return Prediction(sample_id="1", text=text)


def test_the_mean_is_over_samples_with_a_reference() -> None:
    metric = MeanScore("exact", exact_match, lambda sample: sample.answers)
    assert metric.compute() == {}
    assert metric.update(_says("cat"), _sample("cat", "dog")) == 1.0
    assert metric.update(_says("Cat"), _sample("cat")) == 0.0
    assert metric.update(_says("cat"), _sample()) is None
    assert metric.compute() == {"exact": 0.5}


def test_case_is_ignored_on_both_sides_where_asked() -> None:
    metric = MeanScore("exact", exact_match, lambda sample: sample.answers, lower_case=True)
    assert metric.update(_says("CAT"), _sample("Cat")) == 1.0
