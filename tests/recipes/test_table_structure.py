"""The table recipe."""

import numpy as np
import pytest

from finetune.geometry import Box
from finetune.types import BadSampleError, Instance, Sample
from recipes.table_structure import TableStructure

RNG = np.random.default_rng(0)
_HTML = '<table><tr><td colspan="2">Age</td></tr><tr><td>7</td><td></td></tr></table>'
_SUFFIX = (
    '<table><tr><td colspan="2" coords="<loc0102><loc0205><loc0409><loc0307>">Age</td></tr>'
    '<tr><td coords="<loc0102><loc0512><loc0205><loc0614>">7</td><td></td></tr></table>'
)
_CELLS = (
    Instance(label="0", box=Box(top=0.2, left=0.1, bottom=0.3, right=0.4)),
    Instance(label="1", box=Box(top=0.5, left=0.1, bottom=0.6, right=0.2)),
)
_TABLE = Sample(sample_id="7", origin="tables.jsonl:8", images=(), text=_HTML, instances=_CELLS)


def _scores(text: str, sample: Sample = _TABLE) -> dict[str, float | None]:
    recipe = TableStructure()
    return {name: metric.update(recipe.decode(text, sample), sample) for name, metric in recipe.metrics().items()}


def test_cells_say_where_they_are_left_top_right_bottom() -> None:
    example = TableStructure().encode(_TABLE, RNG)
    assert (example.prefix, example.suffix) == ("table", _SUFFIX)
    assert TableStructure().reference(_TABLE) == _HTML


def test_boxes_can_be_left_out() -> None:
    assert TableStructure(boxes=False).encode(_TABLE, RNG).suffix == _HTML


def test_boxes_are_read_back_under_the_numbers_of_their_cells() -> None:
    prediction = TableStructure().decode(_SUFFIX, _TABLE)
    assert [(one.label, round(one.box.left, 2), round(one.box.bottom, 2)) for one in prediction.objects] == [
        ("0", 0.1, 0.3),
        ("1", 0.1, 0.6),
    ]
    assert prediction.num_malformed == 0


@pytest.mark.parametrize("coords", ["", "<loc0102>", "<loc0409><loc0205><loc0102><loc0307>", "<loc9999>" * 4])
def test_a_box_that_is_none_is_counted(coords: str) -> None:
    prediction = TableStructure().decode(f'<table><tr><td coords="{coords}">Age</td></tr></table>', _TABLE)
    assert (prediction.objects, prediction.num_malformed) == ((), 1)


@pytest.mark.parametrize("text", ["", "<td", '<td coords="', "</table><table><td><td>", "<loc0001>"])
def test_any_text_is_read(text: str) -> None:
    TableStructure().decode(text, _TABLE)


def test_a_perfect_table_has_perfect_scores_whatever_its_boxes() -> None:
    assert _scores(_SUFFIX) == {"TEDS": 1.0, "S-TEDS": 1.0}
    assert _scores(_HTML) == {"TEDS": 1.0, "S-TEDS": 1.0}


def test_a_misread_cell_does_not_count_in_the_structure() -> None:
    # Five elements: two rows and three cells.
    assert _scores(_SUFFIX.replace("Age", "<b>Aga</b>"))["S-TEDS"] == 1.0
    assert _scores(_SUFFIX.replace("Age", "Aga"))["TEDS"] == pytest.approx(1 - (1 / 3) / 5)


def test_a_missing_cell_counts_in_both() -> None:
    scores = _scores(_HTML.replace("<td></td>", ""))
    assert scores == pytest.approx({"TEDS": 0.8, "S-TEDS": 0.8})


def test_ready_made_text_overrides_the_recipe_and_its_boxes_do_not_count() -> None:
    sample = Sample(sample_id="7", origin="", images=(), suffix=_SUFFIX, prefix="read")
    example = TableStructure().encode(sample, RNG)
    assert (example.prefix, example.suffix) == ("read", _SUFFIX)
    assert TableStructure().reference(sample) == _HTML
    assert _scores(_HTML, sample)["TEDS"] == 1.0


def test_mistakes_are_refused_by_name() -> None:
    with pytest.raises(BadSampleError, match="missing-text"):
        TableStructure().encode(Sample(sample_id="7", origin="", images=(), captions=("a",)), RNG)
    with pytest.raises(BadSampleError, match="missing-boxes"):
        TableStructure().encode(Sample(sample_id="7", origin="", images=(), text=_HTML), RNG)
    stray = Instance(label="3", box=_CELLS[0].box)
    with pytest.raises(BadSampleError, match=r"boxes: a box belongs to cell '3', but the table has 3.*no-such-cell"):
        TableStructure().encode(Sample(sample_id="7", origin="", images=(), text=_HTML, instances=(stray,)), RNG)
    with pytest.raises(ValueError, match="known: none"):
        TableStructure(prefix="table {language}")
