import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from finetune.verification.optimizer_step import original_updates, settled_elements


def test_the_second_update_is_half_the_learning_rate_in_the_gradients_direction() -> None:
    """Adam sees the same gradient twice: both moments are it and its square."""
    weights = {"img/head/bias": np.ones(3), "img/head/kernel": np.full(3, 2.0)}
    gradients = {"img/head/bias": np.array([1e-3, -1e-3, 0.0]), "img/head/kernel": np.full(3, 0.5)}
    updates = original_updates(weights, gradients)
    assert updates["img/head/bias"] == pytest.approx([-5e-3, 5e-3, 0], rel=1e-4)
    # wd is not multiplied by the learning rate, and is by the schedule's factor: 0.5 * 1e-3 * 2.
    assert updates["img/head/kernel"] == pytest.approx([-5e-3 - 1e-3] * 3, rel=1e-4)


def test_clipping_changes_what_epsilon_means_and_little_else() -> None:
    small = {"a": np.array([1e-8, 1.0])}
    clipped = {"a": np.array([1e-7, 10.0])}
    weights = {"a": np.zeros(2)}
    assert original_updates(weights, clipped)["a"] == pytest.approx(original_updates(weights, small)["a"], rel=1e-6)


def test_an_element_counts_where_rounding_cannot_change_its_update() -> None:
    """The two gradients differ by 1e-9 at most; Adam's epsilon is 1e-8."""
    theirs = np.array([1e-3, 1e-6, 2e-9, 1e-9, 0.0, -1e-3])
    ours = theirs + np.array([0, 1e-9, 0, 0, 0, 0])
    assert settled_elements(ours, theirs, factor=1.0, most=1.0).tolist() == [True, True, False, False, False, True]
    # Clipped to a hundredth, the second one lies nearer epsilon.
    assert settled_elements(ours, theirs, factor=0.01, most=1.0).tolist() == [True, False, False, False, False, True]
    assert settled_elements(theirs, theirs, factor=1.0, most=1.0).tolist() == [True, True, True, True, False, True]


def test_a_wrong_gradient_is_no_rounding_and_counts() -> None:
    theirs = np.array([1e-3, 1e-3])
    assert settled_elements(-theirs, theirs, factor=1.0, most=1e-8).all()


@hypothesis.given(exponent=st.floats(-12, 0), sign=st.sampled_from([-1, 1]), rounding=st.floats(-1e-7, 1e-7))
def test_the_update_of_an_element_that_counts_moves_by_a_ten_thousandth_at_most(
    exponent: float, sign: int, rounding: float
) -> None:
    theirs = np.array([sign * 10**exponent])
    ours = theirs + rounding
    if settled_elements(ours, theirs, factor=1.0, most=1.0)[0]:
        moved, wanted = (original_updates({"a": np.zeros(1)}, {"a": gradient})["a"] for gradient in (ours, theirs))
        assert moved == pytest.approx(wanted, rel=1.001e-4)
