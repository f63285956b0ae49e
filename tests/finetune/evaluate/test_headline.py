"""The cards of scores."""

import pytest

from finetune.evaluate.charts import Series
from finetune.evaluate.headline import cards_html


def card(name: str, *values: float) -> str:
    return cards_html([Series(name=name, points=tuple((100 * index, value) for index, value in enumerate(values)))])


def test_a_card_shows_the_last_value_where_it_came_from_and_the_best() -> None:
    html = card("mAP50", 0.1, 0.6, 0.5)
    assert "<b>0.5</b>" in html
    assert '<p class="better">from 0.1 at step 0</p>' in html
    assert "<p>best 0.6 at step 100</p>" in html


def test_the_best_is_not_said_where_it_is_the_last() -> None:
    assert "best" not in card("mAP50", 0.1, 0.6)


def test_less_is_better_for_an_error_rate_also_in_a_mixture() -> None:
    assert 'class="better"' in card("ocr/CER", 0.9, 0.2)
    assert 'class="worse"' in card("CER", 0.2, 0.9)
    assert 'class="worse"' in card("ocr/mAP", 0.9, 0.2)
    assert 'class="same"' in card("mAP", 0.2, 0.2)


@pytest.mark.parametrize("name", ["boxes_per_image", "shapes/boxes_per_image", "eval/captions/ptb_java"])
def test_a_score_without_a_direction_changes_and_is_neither_better_nor_worse(name: str) -> None:
    html = card(name, 3.0, 1.0, 2.0)
    assert '<p class="same">from 3 at step 0</p>' in html
    assert "best" not in html


def test_one_evaluation_has_nothing_to_be_compared_with() -> None:
    assert "<p" not in card("mAP", 0.2)
