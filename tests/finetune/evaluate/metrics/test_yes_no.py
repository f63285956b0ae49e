"""Yes or no."""

import pytest

from finetune.evaluate.metrics.yes_no import YesNoScores
from finetune.types import Prediction, Sample


def _scores(*pairs: tuple[str, str], lower_case: bool = False) -> dict[str, float]:
    metric = YesNoScores(lambda sample: sample.answers, lower_case=lower_case)
    for text, truth in pairs:
        metric.update(
            Prediction(sample_id="1", text=text), Sample(sample_id="1", origin="", images=(), answers=(truth,))
        )
    assert metric.names() == ("yes_no_accuracy", "valid_share")
    return metric.compute()


def test_a_lowered_text_that_equals_the_label_is_right_and_yes_and_no_are_valid() -> None:
    pairs = (("Yes", "yes"), ("no", "yes"), ("maybe", "no"), ("yes.", "yes"))
    assert _scores(*pairs) == {"yes_no_accuracy": 0.25, "valid_share": 0.5}


def test_the_label_is_lowered_on_request_alone() -> None:
    assert _scores(("yes", "Yes")) == {"yes_no_accuracy": 0.0, "valid_share": 1.0}
    assert _scores(("yes", "Yes"), lower_case=True) == {"yes_no_accuracy": 1.0, "valid_share": 1.0}


@pytest.mark.parametrize(("text", "own"), [("yes", 1.0), ("no", 0.0)])
def test_a_samples_own_score_is_whether_it_is_right(text: str, own: float) -> None:
    sample = Sample(sample_id="1", origin="", images=(), answers=("yes",))
    assert YesNoScores(lambda row: row.answers).update(Prediction(sample_id="1", text=text), sample) == own


def test_without_a_truth_there_is_no_score() -> None:
    metric = YesNoScores(lambda sample: sample.answers)
    assert metric.update(Prediction(sample_id="1", text="yes"), Sample(sample_id="1", origin="", images=())) is None
    assert metric.compute() == {}
