import numpy as np
import pytest

from finetune.verification.comparison import Comparison
from finetune.verification.gradients import compare_gradients

LARGE = np.array([3.0, 4.0])


def named(found: list[Comparison]) -> dict[str, Comparison]:
    return {comparison.quantity: comparison for comparison in found}


def test_each_array_is_held_against_its_own_norm_and_the_worst_is_named() -> None:
    theirs = {"a": LARGE, "b": LARGE * 1e-3}
    found = named(compare_gradients({"a": LARGE, "b": LARGE * 1e-3 * (1 + 2e-5)}, theirs))["gradients"]
    assert found.found == pytest.approx(2e-5)
    assert not found.is_within
    assert found.detail == "2 arrays; worst: b"


def test_a_gradient_that_is_rounding_alone_is_held_against_the_whole() -> None:
    theirs = {"a": LARGE, "key/bias": LARGE * 1e-9}
    found = named(compare_gradients({"a": LARGE, "key/bias": -LARGE * 1e-9}, theirs))
    assert found["gradients"].found == 0
    assert found["gradients that are 0 but for rounding"].found == pytest.approx(2e-9)
    assert all(comparison.is_within for comparison in found.values())
    wrong = named(compare_gradients({"a": LARGE, "key/bias": LARGE * 1e-5}, theirs))
    assert not wrong["gradients that are 0 but for rounding"].is_within


def test_missing_and_left_over_names_are_told() -> None:
    found = named(compare_gradients({"a": LARGE, "b": LARGE}, {"a": LARGE, "c": LARGE}))["arrays with a gradient"]
    assert (found.found, found.detail, found.is_within) == (2, "b, c", False)


def test_a_transposed_gradient_is_infinitely_wrong_and_a_nan_is_not_within() -> None:
    square = np.ones((2, 3))
    assert named(compare_gradients({"a": square.T}, {"a": square}))["gradients"].found == np.inf
    assert not named(compare_gradients({"a": LARGE * np.nan}, {"a": LARGE}))["gradients"].is_within
