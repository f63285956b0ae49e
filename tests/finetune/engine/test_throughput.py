"""Rates of training alone."""

import pytest
import torch

from finetune.engine.step import Outcome, StepReport
from finetune.engine.throughput import Throughput, peak_memory_gib


def test_rates_cover_the_steps_since_the_last_report() -> None:
    throughput = Throughput()
    report = StepReport(
        outcome=Outcome.updated,
        loss=1.0,
        grad_norm=1.0,
        learning_rates={},
        num_examples=8,
        num_targets=20,
        num_tokens=100,
    )
    throughput.add(report, 0.5)
    throughput.add(report, 1.5)
    assert throughput.take() == pytest.approx({"examples_per_second": 8.0, "tokens_per_second": 100.0})
    throughput.add(report, 1.0)
    assert throughput.take() == pytest.approx({"examples_per_second": 8.0, "tokens_per_second": 100.0})


def test_this_process_has_taken_some_memory() -> None:
    assert 0.01 < peak_memory_gib(torch.device("cpu")) < 1000
