"""Held-out images with what the model was asked, what it said and what is true, as HTML."""

import re
from collections.abc import Mapping, Sequence
from html import escape

from finetune.evaluate.charts import format_value
from finetune.reporting.drawing import drawing_html, jpeg_uri, label_colours
from finetune.reporting.rows import PredictionRow

_TOKENS = re.compile(r"((?:&lt;(?:loc\d{4}|seg\d{3})&gt;)+)")

STYLE = """
.switches{display:flex;gap:18px;flex-wrap:wrap;align-items:center;margin:0 0 14px;color:var(--soft);font-size:13px}
.switches label{cursor:pointer;display:inline-flex;gap:6px;align-items:center}
.switches .swatch{width:18px;height:11px;border:2px solid var(--ink);border-radius:2px}
.switches .swatch.true{border-style:dashed}
.switches .label{display:inline-flex;gap:5px;align-items:center}
.switches .label i{width:10px;height:10px;border-radius:3px}
body:has(#show-predicted:not(:checked)) .drawing .predicted{display:none}
body:has(#show-true:not(:checked)) .drawing .true{display:none}
body:has(#show-masks:not(:checked)) .drawing path{display:none}
body:has(#show-boxes:not(:checked)) .drawing rect{display:none}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:16px}
.gallery article{padding:12px;display:flex;flex-direction:column;gap:8px;min-width:0}
.gallery h3{display:flex;gap:8px;align-items:baseline;margin:0;font-size:12px;font-weight:500;color:var(--soft)}
.gallery h3 span:first-child{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.gallery h3 .score{margin-left:auto;padding:1px 8px;border-radius:9px;background:var(--tint);color:var(--ink);
font-weight:600}
.gallery dl{margin:0;display:grid;grid-template-columns:auto 1fr;gap:3px 10px;font-size:12px}
.gallery dt{color:var(--soft)}
.gallery dd{margin:0;font-family:ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap;
max-height:7.5em;overflow-y:auto}
.gallery dd .tokens{color:var(--soft);opacity:.75}
.gallery dd.empty{color:var(--soft);font-style:italic}
"""


def gallery_html(rows: Sequence[PredictionRow], earlier: Sequence[PredictionRow] = (), earlier_name: str = "") -> str:
    """Show samples. The page must include `STYLE` and that of `finetune.reporting.drawing`.

    Args:
        rows: With a thumbnail each.
        earlier: The same samples at an earlier step, to show what the model said then; some may be missing.
        earlier_name: What these texts are called, such as "at step 0".
    """
    texts = {row.sample_id: row.text for row in earlier}
    colours = label_colours(instance.label for row in rows for instance in (*row.predicted, *(row.truth or ())))
    cards = "".join(_card(row, _texts_of(row, texts, earlier_name), colours) for row in rows)
    return f'{_switches(rows, colours)}<div class="gallery">{cards}</div>'


def _switches(rows: Sequence[PredictionRow], colours: Mapping[str, str]) -> str:
    """Return the legend, whose check boxes hide what is drawn; nothing where nothing is."""
    if not colours:
        return ""
    has_masks = any(one.mask is not None for row in rows for one in (*row.predicted, *(row.truth or ())))
    shapes = "".join(_switch(name, "") for name in ("masks", "boxes")) if has_masks else ""
    labels = "".join(
        f'<span class="label"><i style="background:{colour}"></i>{escape(label)}</span>'
        for label, colour in colours.items()
    )
    kinds = "".join(_switch(kind, f'<span class="swatch {kind}"></span>') for kind in ("predicted", "true"))
    return f'<div class="switches">{kinds}{shapes}{labels}</div>'


def _switch(name: str, swatch: str) -> str:
    return f'<label><input type="checkbox" id="show-{name}" checked>{swatch}{name}</label>'


def _texts_of(row: PredictionRow, earlier: Mapping[str, str], earlier_name: str) -> dict[str, str]:
    texts = {"prefix": row.prefix, "text": row.text, "reference": row.reference}
    return {**texts, earlier_name: earlier[row.sample_id]} if row.sample_id in earlier else texts


def _card(row: PredictionRow, texts: Mapping[str, str], colours: Mapping[str, str]) -> str:
    assert row.thumbnail_jpeg is not None, "the gallery shows rows with a thumbnail"
    drawing = drawing_html(
        jpeg_uri(row.thumbnail_jpeg),
        predicted=row.predicted,
        truth=row.truth or (),
        colours=colours,
        description=f"{row.sample_id}: {row.text}",
    )
    score = "" if row.score is None else f'<span class="score" title="score">{format_value(row.score)}</span>'
    facts = "".join(_fact(name, text) for name, text in texts.items())
    return (
        f'<article class="card"><h3><span>{escape(row.sample_id)}</span>{score}</h3>{drawing}<dl>{facts}</dl></article>'
    )


def _fact(name: str, text: str) -> str:
    if not text:
        return f'<dt>{name}</dt><dd class="empty">nothing</dd>'
    return f"<dt>{name}</dt><dd>{_TOKENS.sub(_faint, escape(text))}</dd>"


def _faint(match: re.Match[str]) -> str:
    return f'<span class="tokens">{match[1]}</span>'
