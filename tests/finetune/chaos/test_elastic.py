"""Losses of another number of ranks may differ by rounding, and by nothing else."""

import math

import pytest

from finetune.chaos.elastic import loss_differences

Values = tuple[tuple[int, str, str], ...]


def series(losses: list[float], rate: float = 0.1, first: int = 1) -> Values:
    return tuple(
        value
        for step, loss in enumerate(losses, start=first)
        for value in ((step, "loss", loss.hex()), (step, "learning_rate/decoder", rate.hex()))
    )


EXPECTED = series([2.0, 1.5, 1.25])


def test_rounding_is_allowed_and_measured() -> None:
    largest, problems = loss_differences(EXPECTED, series([2.0, 1.5 + 3e-6, 1.25]))
    assert problems == []
    assert largest == pytest.approx(3e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (series([2.0, 1.5 + 3e-5, 1.25]), "the loss of step 2"),
        (series([2.0, 1.25, 1.5]), "the loss of step 2"),
        (series([2.0, math.nan, 1.25]), "the loss of step"),
        (series([2.0, 1.5]), "steps [1, 2] were logged"),
        (series([2.0, 1.5, 1.25], rate=0.2), "learning rates differ"),
    ],
    ids=["another loss", "another order", "not a number", "a step missing", "another rate"],
)
def test_anything_else_is_found(found: Values, said: str) -> None:
    _, problems = loss_differences(EXPECTED, found)
    assert said in " ".join(problems)
