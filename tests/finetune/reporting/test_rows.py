"""Prediction rows and their lines."""

import json
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from finetune.geometry import Box
from finetune.masks import Mask
from finetune.reporting.rows import PredictionRow, row_from_json, row_to_json
from finetune.reporting.strict_json import dumps
from finetune.types import Instance

edges = st.tuples(*[st.floats(0, 1)] * 2).map(sorted)


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    (top, bottom), (left, right) = draw(edges), draw(edges)
    mask = Mask.from_array(np.eye(5, 7, dtype=np.uint8)) if draw(st.booleans()) else None
    box = Box(top=top, left=left, bottom=bottom, right=right)
    return Instance(label=draw(st.text()), box=box, mask=mask, is_crowd=draw(st.booleans()))


objects = st.lists(instances(), max_size=3).map(tuple)
fields = st.fixed_dictionaries(
    {
        "sample_id": st.text(),
        "prefix": st.text(),
        "text": st.text(),
        "reference": st.text(),
        "score": st.none() | st.floats(allow_nan=False),
        "predicted": objects,
        "truth": st.none() | objects,
    }
)


@given(fields)
def test_a_row_comes_back_from_its_line(values: dict[str, Any]) -> None:
    row = PredictionRow(**values)
    assert row_from_json(json.loads(dumps(row_to_json(row, None))), None) == row


def test_a_score_that_is_not_a_number_comes_back() -> None:
    row = PredictionRow(sample_id="a", prefix="", text="", reference="", score=math.nan)
    score = row_from_json(json.loads(dumps(row_to_json(row, None))), None).score
    assert score is not None
    assert math.isnan(score)


def test_a_line_names_edges_and_says_what_the_model_said() -> None:
    box = Box(top=0.1, left=0.2, bottom=0.3, right=0.4)
    row = PredictionRow(
        sample_id="a", prefix="p", text="t", reference="r", score=1.0, predicted=(Instance(label="cat", box=box),)
    )
    assert row_to_json(row, "step/0.jpg") == {
        "id": "a",
        "prefix": "p",
        "text": "t",
        "reference": "r",
        "score": 1.0,
        "decoded": [{"label": "cat", "box": {"top": 0.1, "left": 0.2, "bottom": 0.3, "right": 0.4}}],
        "truth": None,
        "thumbnail": "step/0.jpg",
    }
