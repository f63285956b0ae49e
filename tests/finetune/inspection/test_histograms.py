import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from finetune.inspection.histograms import histogram_html, histogram_of

FLOATS = st.floats(0, 1e6, allow_nan=False)


@example(values=[1.9999999998835847])
@given(values=st.lists(st.one_of(st.integers(0, 10_000).map(float), FLOATS), min_size=1, max_size=50))
def test_every_value_is_in_its_bin(values: list[float]) -> None:
    histogram = histogram_of(values)
    assert histogram is not None
    assert sum(histogram.counts) == len(values)
    assert len(histogram.counts) <= 26
    assert histogram.first <= histogram.smallest == min(values)
    assert histogram.largest == max(values) <= histogram.first + histogram.width * len(histogram.counts) + 1e-6
    assert histogram.counts[0]
    assert histogram.counts[-1]


def test_few_whole_numbers_get_a_bin_each() -> None:
    histogram = histogram_of([3, 3, 5])
    assert histogram is not None
    assert (histogram.first, histogram.width, histogram.counts, histogram.median) == (3, 1, (2, 0, 1), 3)


def test_no_value_has_no_histogram() -> None:
    assert histogram_of([]) is None


@pytest.mark.parametrize("values", [[0], [5, 5], [1, 2, 3], [0.2, 99.7], list(range(400))])
def test_the_picture_is_well_formed_and_names_its_bins(values: list[float]) -> None:
    histogram = histogram_of(values)
    assert histogram is not None
    html = histogram_html("a < b", histogram, unit="tokens")
    figure = ElementTree.fromstring(html)
    assert len(figure.findall(".//rect")) == len(histogram.counts)
    assert "a &lt; b" in html


def test_bins_over_the_limit_stand_out() -> None:
    histogram = histogram_of([10, 20, 30])
    assert histogram is not None
    html = histogram_html("tokens", histogram, unit="tokens", limit=20)
    assert html.count('class="over"') == sum(
        histogram.first + i * histogram.width > 20 for i in range(len(histogram.counts))
    )
    assert "limit 20" in html
    assert "limit" not in histogram_html("tokens", histogram, unit="tokens", limit=500)
