"""What is counted, and which evaluation is the best so far."""

import json
import math
from dataclasses import asdict

import pytest

from finetune.engine.counters import Counters, after_evaluation, after_step, early_stop
from finetune.engine.step import Outcome, StepReport
from finetune.settings import EvaluationSettings


def higher(name: str, new: float, old: float | None) -> bool:
    return not math.isnan(new) and (old is None or new > old)


def report(outcome: Outcome) -> StepReport:
    return StepReport(
        outcome=outcome, loss=1.0, grad_norm=1.0, learning_rates={}, num_examples=3, num_targets=9, num_tokens=50
    )


def test_steps_examples_tokens_skips_and_notes_add_up() -> None:
    counters = Counters()
    for name, notes in (("b", {"boxes over the limit": 2}), ("a", {}), ("b", {"boxes over the limit": 1, "cut": 4})):
        counters = after_step(counters, report(Outcome.updated), skipped=[name], notes=notes)
    assert (counters.step, counters.num_examples, counters.num_tokens) == (3, 9, 150)
    assert counters.skipped == ["a", "b"]
    assert counters.notes == {"boxes over the limit": 3, "cut": 4}


def test_bad_steps_count_in_a_row_and_only_an_update_ends_the_row() -> None:
    counters, row = Counters(), []
    for outcome in (Outcome.non_finite, Outcome.empty, Outcome.non_finite, Outcome.overflow, Outcome.updated):
        counters = after_step(counters, report(outcome), skipped=[], notes={})
        row.append(counters.bad_steps_in_a_row)
    assert row == [1, 1, 2, 2, 0]


def test_the_best_evaluation_is_remembered_and_the_worse_ones_since_are_counted() -> None:
    counters, history = Counters(), []
    for step, value in ((0, 9.0), (10, 1.0), (20, math.nan), (30, 3.0), (40, 2.0)):
        counters = after_evaluation(
            Counters(**{**asdict(counters), "step": step}), {"mAP50": value, "other": 0.0}, "mAP50", higher
        )
        history.append((counters.best_step, counters.best_value, counters.evaluations_since_best))
        assert counters.evaluated_step == step
    # The score before training is no candidate.
    assert history == [(None, None, 0), (10, 1.0, 0), (10, 1.0, 1), (30, 3.0, 0), (30, 3.0, 1)]


def test_a_best_metric_that_the_run_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(ValueError, match="best_metric=mAP5 is no score of this run: mAP50, recall"):
        after_evaluation(Counters(), {"recall": 1.0, "mAP50": 0.5}, "mAP5", higher)


def test_without_a_best_metric_nothing_is_best() -> None:
    counters = after_evaluation(Counters(step=5), {"mAP50": 1.0}, None, higher)
    assert (counters.best_step, counters.evaluated_step, counters.evaluations_since_best) == (None, 5, 0)


def test_counters_come_back_from_json() -> None:
    counters = Counters(step=3, skipped=["train.jsonl:3"], notes={"cut": 1}, best_value=0.1 + 0.2, best_step=3)
    assert Counters(**json.loads(json.dumps(asdict(counters)))) == counters


def test_a_best_score_of_another_metric_is_no_rival() -> None:
    counters = Counters(step=5, best_metric="mAP50", best_value=0.5, best_step=3, evaluations_since_best=1)
    counters = after_evaluation(counters, {"recall": 0.1}, "recall", higher)
    assert (counters.best_metric, counters.best_value, counters.best_step) == ("recall", 0.1, 5)


def test_an_early_end_says_what_it_waited_for_and_a_whole_run_has_none() -> None:
    patient = EvaluationSettings(best_metric="mAP50", patience=1)
    counters = Counters(step=5, evaluations_since_best=1)
    assert early_stop(counters, patient, 9) == (
        "stopped early after step 5 of 9: mAP50 did not improve for 1 evaluation (it was never a number)"
    )
    assert early_stop(counters, patient, 5) is None
    assert early_stop(counters, EvaluationSettings(best_metric="mAP50", patience=2), 9) is None
    assert early_stop(counters, EvaluationSettings(), 9) is None
