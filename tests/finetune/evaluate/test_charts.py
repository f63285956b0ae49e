"""Curves drawn by hand."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from finetune.evaluate.charts import Series, chart_html, format_value, smoothed, ticks

values = st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])


def series(points: list[float], name: str = "loss") -> Series:
    return Series(name=name, points=tuple(enumerate(points, start=1)))


@given(st.lists(st.lists(values, min_size=1, max_size=60), min_size=1, max_size=6))
def test_any_values_make_a_well_formed_picture_inside_its_frame(curves: list[list[float]]) -> None:
    html = chart_html("loss & <more>", [series(curve, f"s{index}") for index, curve in enumerate(curves)])
    root = ET.fromstring(html)
    numbers = [float(number) for path in root.iter("path") for number in re.findall(r"-?\d+\.\d+", path.get("d", ""))]
    assert all(0 <= number <= 560 for number in numbers)


def test_a_value_that_is_not_finite_is_marked_and_leaves_a_gap() -> None:
    html = chart_html("loss", [series([1.0, 2.0, math.nan, 3.0, 4.0])])
    assert html.count('class="broken"') == 1
    assert "step 3: nan" in html
    (path,) = re.findall(r'<path class="plain" d="([^"]*)"', html)
    assert re.sub(r"[^ML]", "", path) == "MLML"


def test_every_point_of_a_short_curve_can_be_pointed_at_and_has_its_exact_value() -> None:
    html = chart_html("mAP", [series([0.1, 1 / 3])])
    assert "step 2: 0.3333333333333333" in html
    assert html.count('class="point dot"') == 2


def test_a_long_curve_is_thinned_but_keeps_its_end_and_what_is_not_finite() -> None:
    points = [1.0] * 5000
    points[1234] = math.inf
    html = chart_html("loss", [series(points)])
    assert html.count("<title>") < 300
    assert "step 5,000:" in html
    assert "step 1,235: inf" in html


def test_noise_is_smoothed_and_a_schedule_is_not() -> None:
    noisy = chart_html("loss", [series([1.0 + (index % 2) for index in range(100)])])
    schedule = chart_html("rate", [series([min(index, 100 - index) / 50 for index in range(100)])])
    assert 'class="smooth"' in noisy
    assert 'class="smooth"' not in schedule


def test_smoothing_starts_at_the_first_value_and_passes_over_gaps() -> None:
    assert smoothed([(1, 5.0), (2, math.nan), (3, 5.0)]) == [(1, pytest.approx(5.0)), (3, pytest.approx(5.0))]


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 8))
def test_ticks_are_few_evenly_spaced_and_inside(lowest: float, span: float, most: int) -> None:
    assume(span > abs(lowest) * 1e-6)
    found = ticks(lowest, lowest + span, most)
    assert len(found) <= most + 1
    assert all(lowest - span * 1e-6 <= tick <= lowest + span * (1 + 1e-6) for tick in found)
    gaps = [later - earlier for earlier, later in itertools.pairwise(found)]
    assert all(gap == pytest.approx(gaps[0], rel=1e-3) for gap in gaps)


def test_curves_that_share_a_chart_are_named_and_escaped() -> None:
    html = chart_html("rate", [series([1.0], "rate/<decoder>"), series([2.0], "rate/connector")])
    assert "&lt;decoder&gt;</span>" in html
    assert ">connector</span>" in html


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.123456, "0.1235"), (12345.6, "12,346"), (1e-4, "1e-4"), (2.5e9, "2.5e9"), (math.nan, "nan")],
)
def test_values_are_written_for_people(value: float, text: str) -> None:
    assert format_value(value) == text
