import math

import numpy as np
import pytest

from finetune.verification.comparison import (
    Comparison,
    NotTheOriginalError,
    largest_difference,
    norm,
    require_all_within,
    worst_of,
)


def comparison(found: float, quantity: str = "logits") -> Comparison:
    return Comparison(quantity=quantity, measure="max |difference|", found=found, tolerance=1e-5, detail="27 positions")


@pytest.mark.parametrize(("found", "is_within"), [(0, True), (1e-5, True), (2e-5, False), (math.nan, False)])
def test_what_is_found_must_not_exceed_what_is_allowed_and_a_nan_does(found: float, is_within: bool) -> None:
    assert comparison(found).is_within is is_within


def test_the_message_names_the_first_that_is_outside_and_counts_the_others() -> None:
    with pytest.raises(NotTheOriginalError) as error:
        require_all_within([comparison(0), comparison(1, "loss"), comparison(math.nan)])
    assert str(error.value) == (
        "not the original's numbers: loss: max |difference| 1, allowed is 1e-05 (27 positions), and 1 more"
    )
    assert error.value.exit_code == 1
    require_all_within([comparison(0)])


def test_differences_are_infinite_between_shapes_and_nan_where_there_is_one() -> None:
    assert largest_difference(np.ones(2), np.array([1.0, 1.5])) == 0.5
    assert largest_difference(np.ones(2), np.ones(3)) == math.inf
    assert math.isnan(largest_difference(np.ones(2), np.array([1.0, np.nan])))


def test_the_worst_is_a_nan_if_there_is_one() -> None:
    assert worst_of({"a": 1.0, "b": 2.0}) == "b"
    assert worst_of({"a": math.nan, "b": 2.0}) == "a"
    assert worst_of({}) == "nothing"


def test_a_norm_is_taken_in_float64() -> None:
    assert norm(np.full(4, 1e30, dtype=np.float32)) == pytest.approx(2e30)
