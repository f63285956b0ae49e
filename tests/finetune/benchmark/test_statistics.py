import numpy as np
import pytest

from finetune.benchmark.statistics import exponent, median, ratio_of, slope


def test_a_ratio_is_that_of_the_medians_and_its_interval_holds_it() -> None:
    rng = np.random.default_rng(0)
    faster = 1 + rng.normal(0, 0.05, 40)
    slower = 3 + rng.normal(0, 0.15, 40)
    found = ratio_of(slower.tolist(), faster.tolist())
    assert found.low < 3 < found.high
    assert found.high - found.low < 0.2
    assert found.ratio == pytest.approx(median(slower.tolist()) / median(faster.tolist()))


def test_what_disturbs_a_whole_round_widens_no_interval() -> None:
    disturbance = np.array([1.0, 5.0, 2.0, 9.0, 3.0])
    found = ratio_of((4 * disturbance).tolist(), disturbance.tolist())
    assert (found.low, found.high) == pytest.approx((4, 4))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        found = ratio_of((2 + rng.normal(0, 0.2, 15)).tolist(), (1 + rng.normal(0, 0.1, 15)).tolist())
        covered += found.low <= 2 <= found.high
    assert covered >= 50


def test_the_same_times_give_the_same_interval() -> None:
    assert ratio_of([1.0, 2.0], [3.0, 4.0]) == ratio_of([1.0, 2.0], [3.0, 4.0])


def test_slopes_are_those_of_the_curve() -> None:
    sizes = [1.0, 2.0, 4.0, 8.0]
    assert exponent(sizes, [5 * size**1.5 for size in sizes]) == pytest.approx(1.5)
    assert slope(sizes, [7 + 3 * size for size in sizes]) == pytest.approx(3)
