import numpy as np
import pytest

from finetune.verification.optimizer_step import original_updates


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
