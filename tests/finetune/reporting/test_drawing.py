"""Boxes over images, as HTML."""

import base64
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.reporting.drawing import decode_jpeg, drawing_html, jpeg_bytes, jpeg_uri, label_colours, shrink
from finetune.types import Instance


def instance(label: str, *, is_crowd: bool = False) -> Instance:
    return Instance(label=label, box=Box(top=0.25, left=0.1, bottom=0.75, right=0.4), is_crowd=is_crowd)


def draw(predicted: list[Instance], truth: list[Instance], description: str = "a picture") -> str:
    colours = label_colours(one.label for one in predicted + truth)
    return drawing_html(
        "data:image/jpeg;base64,AA==", predicted=predicted, truth=truth, colours=colours, description=description
    )


def test_a_box_is_placed_in_percent_of_the_image() -> None:
    html = draw([instance("cat")], [])
    assert 'x="10.00%" y="25.00%" width="30.00%" height="50.00%"' in html


def test_predicted_and_true_boxes_can_be_told_apart_by_class() -> None:
    html = draw([instance("cat")], [instance("cat"), instance("dog")])
    assert len(re.findall(r'<rect class="predicted"', html)) == 1
    assert len(re.findall(r'<rect class="true"', html)) == 2


def test_labels_and_descriptions_are_escaped() -> None:
    html = draw([instance("<b>&\"'")], [], description='"><script>')
    assert "<b>" not in html
    assert "<script>" not in html
    assert "&lt;b&gt;&amp;&quot;&#x27;" in html


def test_a_crowd_says_so() -> None:
    assert "people (crowd)" in draw([], [instance("people", is_crowd=True)])


def test_masks_are_filled_where_predicted_and_dashed_where_true() -> None:
    mask = Mask.from_array(np.ones((10, 10), dtype=np.uint8))
    html = draw([replace(instance("cat"), mask=mask)], [replace(instance("dog"), mask=mask)])
    assert html.count('<path class="predicted"') == html.count('<path class="true"') == 1
    assert html.count("<rect") == 4, "boxes stay, and step back"
    assert html.count(' around"') == 4
    empty = Mask.from_array(np.zeros((10, 10), dtype=np.uint8))
    assert "<path" not in draw([replace(instance("cat"), mask=empty)], [])


def test_many_labels_wait_for_the_pointer() -> None:
    assert 'class="drawing many"' in draw([instance("cat")] * 13, [])
    assert 'class="drawing many"' not in draw([instance("cat")] * 12, [])


@given(st.lists(st.text(), min_size=1, max_size=40))
def test_colours_depend_on_the_set_of_labels_alone_and_differ(labels: list[str]) -> None:
    colours = label_colours(labels)
    assert colours == label_colours(reversed(labels * 2))
    assert len(set(colours.values())) == len(set(labels))
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in colours.values())


def test_shrinking_keeps_the_proportions_and_never_enlarges() -> None:
    assert shrink(np.zeros((50, 200, 3), dtype=np.uint8), 100).shape == (25, 100, 3)
    assert shrink(np.zeros((50, 20, 3), dtype=np.uint8), 100).shape == (50, 20, 3)


def test_a_data_address_holds_the_picture_itself() -> None:
    pixels = np.full((8, 12, 3), (200, 40, 90), dtype=np.uint8)
    prefix, _, encoded = jpeg_uri(jpeg_bytes(pixels)).partition(",")
    assert prefix == "data:image/jpeg;base64"
    back = np.asarray(decode_jpeg(base64.b64decode(encoded)))
    assert back.shape == pixels.shape
    assert back.astype(int) == pytest.approx(pixels.astype(int), abs=4)
