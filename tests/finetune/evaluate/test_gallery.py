"""The gallery of held-out samples."""

import numpy as np

from finetune.evaluate.gallery import gallery_html
from finetune.geometry import Box
from finetune.reporting.drawing import jpeg_bytes
from finetune.reporting.rows import PredictionRow
from finetune.types import Instance

JPEG = jpeg_bytes(np.zeros((8, 8, 3), dtype=np.uint8))


def row(sample_id: str = "a", text: str = "a cat", label: str | None = None) -> PredictionRow:
    box = Box(top=0.1, left=0.1, bottom=0.5, right=0.5)
    objects = (Instance(label=label, box=box),) if label else ()
    return PredictionRow(
        sample_id=sample_id,
        prefix="caption <en>",
        text=text,
        reference="the cat",
        score=0.5,
        predicted=objects,
        truth=objects,
        thumbnail_jpeg=JPEG,
    )


def test_a_card_shows_prefix_text_reference_and_score() -> None:
    html = gallery_html([row()])
    for shown in ("caption &lt;en&gt;", "a cat", "the cat", ">0.5<", "data:image/jpeg;base64,"):
        assert shown in html


def test_what_the_model_said_earlier_is_shown_where_it_is_known() -> None:
    html = gallery_html([row("a"), row("b")], [row("a", text="nonsense")], "at step 0")
    assert html.count("<dt>at step 0</dt><dd>nonsense</dd>") == 1
    assert html.count("at step 0") == 1


def test_generated_text_is_escaped_and_location_tokens_are_faint() -> None:
    html = gallery_html([row(text="<loc0001><loc0002> <script>")])
    assert '<span class="tokens">&lt;loc0001&gt;&lt;loc0002&gt;</span> &lt;script&gt;' in html
    assert "<script>" not in html


def test_an_empty_text_says_so() -> None:
    assert '<dd class="empty">nothing</dd>' in gallery_html([row(text="")])


def test_boxes_bring_a_legend_with_switches() -> None:
    with_boxes, without = gallery_html([row(label="<cat>")]), gallery_html([row()])
    assert 'id="show-predicted"' in with_boxes
    assert 'id="show-true"' in with_boxes
    assert "&lt;cat&gt;" in with_boxes
    assert "show-predicted" not in without
