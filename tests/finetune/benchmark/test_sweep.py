from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from finetune.benchmark.choices import BenchSize, Sweep, Workload
from finetune.benchmark.markdown import markdown
from finetune.benchmark.plot import sweep_svg
from finetune.benchmark.sweep import points_of, sweep_section, workloads_of


@pytest.fixture(scope="module")
def section(workload_of) -> dict[str, Any]:  # type: ignore[no-untyped-def]
    workload: Workload = workload_of()
    sections = [
        {
            "workload": {"batch": batch, "suffix_tokens": 6},
            "samples": {"image_tokens": 4},
            "variants": {
                "ours": {"milliseconds": 2.0 + 3.0 * batch, "extra_mib": 10.0 * batch},
                "strong": {"milliseconds": 5.0 * batch, "extra_mib": None}
                if batch < 4
                else {"failed": "out of memory"},
            },
        }
        for batch in (1, 2, 4)
    ]
    return sweep_section(workload, Sweep.batch, sections)


def test_slopes_are_found_where_there_are_two_points(section: dict[str, Any]) -> None:
    assert section["sizes"] == [1, 2, 4]
    ours, strong = section["slopes"]["ours"], section["slopes"]["strong"]
    assert ours["milliseconds"]["per_unit"] == pytest.approx(3)
    assert ours["extra_mib"]["exponent"] == pytest.approx(1)
    assert strong["milliseconds"]["per_unit"] == pytest.approx(5)
    assert "extra_mib" not in strong


def test_the_picture_has_a_line_for_each_variant(section: dict[str, Any]) -> None:
    picture = ElementTree.fromstring(sweep_svg(section))
    paths = [element for element in picture.iter() if element.tag.endswith("path")]
    assert len(paths) == 3
    words = " ".join(element.text or "" for element in picture.iter())
    assert "memory ^1.00" in words
    assert "examples in a step" in words


def test_the_table_has_the_points_and_the_slopes(section: dict[str, Any], made_by: dict[str, Any]) -> None:
    text = markdown({"sections": [section], "left_out": [{"title": "x", "why": "late"}], "made_by": made_by})
    assert "| 4 | 14 | out of memory | 40 | out of memory |" in text
    assert "| each one more | 3 | 5 | 10 |  |" in text
    assert "Not measured: x (late)." in text


def test_each_point_changes_what_grows_and_nothing_else(workload_of) -> None:  # type: ignore[no-untyped-def]
    workload = workload_of()
    grown = list(workloads_of(workload, Sweep.suffix, [8, 16]))
    assert [one.suffix_tokens for one in grown] == [8, 16]
    assert {replace(one, suffix_tokens=workload.suffix_tokens) for one in grown} == {workload}


def test_points_are_the_users_or_suit_the_size() -> None:
    assert points_of(Sweep.batch, BenchSize["3b"], [8, 2]) == [2, 8]
    assert points_of(Sweep.image_size, BenchSize["3b"], []) == [224, 448, 896]
    assert points_of(Sweep.image_size, BenchSize["tiny"], []) == [28, 56, 112]
