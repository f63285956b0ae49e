"""Samples as HTML: image with boxes and masks, the exact prefix and suffix, and the tokens that the loss falls on."""

from collections.abc import Mapping, Sequence
from html import escape

from finetune.inspection.reading import ShownSample, TokenRun
from finetune.inspection.reconstruction import ShownPair
from finetune.reporting.drawing import drawing_html, jpeg_uri, label_colours

# A word's leading space, as SentencePiece writes it.
_SPACE = "▁"

STYLE = """
.legend{display:flex;gap:8px 20px;flex-wrap:wrap;align-items:center;margin:0 0 14px;color:var(--soft);font-size:13px}
.legend span{display:inline-flex;gap:6px;align-items:center}
.legend i{width:18px;height:11px;border:2px solid var(--ink);border-radius:2px}
.legend i.left-out{border-style:dashed}
.legend i.dot{width:10px;height:10px;border:0;border-radius:3px}
.samples{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));gap:16px;align-items:start}
.samples.pairs{grid-template-columns:repeat(auto-fill,minmax(min(100%,220px),1fr))}
.sample{padding:12px;display:flex;flex-direction:column;gap:10px;min-width:0}
.sample h3{display:flex;gap:10px;align-items:baseline;margin:0;font-size:12px;font-weight:600}
.sample h3 b{font-weight:600;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.sample h3 span{margin-left:auto;font-weight:400;color:var(--soft);white-space:nowrap}
.sample .origin{margin:-8px 0 0;font-size:11px;color:var(--soft);overflow-wrap:anywhere}
.sample dl{margin:0;display:grid;grid-template-columns:auto 1fr;gap:4px 10px;font-size:12px}
.sample dt{color:var(--soft)}
.sample dd{margin:0;font-family:ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap;max-height:9em;
overflow-y:auto}
.sample dd.empty{color:var(--soft);font-style:italic;font-family:inherit}
.tokens{display:flex;flex-wrap:wrap;gap:3px;max-height:13em;overflow-y:auto;padding:8px;border-radius:8px;
background:var(--tint);font:11px/1.5 ui-monospace,monospace}
.tokens span,.legend .token{padding:0 4px;border-radius:4px;white-space:pre;background:var(--card);color:var(--soft);
border:1px solid var(--edge)}
.tokens .learned,.legend .learned{background:var(--learned);color:var(--learned-ink);border-color:transparent}
"""


def samples_html(samples: Sequence[ShownSample]) -> str:
    """Show samples. The page must include `STYLE` and that of `finetune.reporting.drawing`."""
    colours = label_colours(instance.label for sample in samples for instance in (*sample.spoken, *sample.left_out))
    cards = "".join(_card(sample, colours) for sample in samples)
    return f'{_legend(colours)}<div class="samples">{cards}</div>'


def pairs_html(pairs: Sequence[ShownPair]) -> str:
    """Show masks beside what the suffix says of them: annotated dashed, read back filled. Styles as `samples_html`."""
    colours = label_colours(shown.pair.annotated.label for shown in pairs)
    return f'<div class="samples pairs">{"".join(_pair(shown, colours) for shown in pairs)}</div>'


def _pair(shown: ShownPair, colours: Mapping[str, str]) -> str:
    picture = drawing_html(
        jpeg_uri(shown.thumbnail_jpeg),
        predicted=(shown.pair.spoken,),
        truth=(shown.pair.annotated,),
        colours=colours,
        description=f"{shown.sample_id}: {shown.pair.annotated.label}",
    )
    name = f"<h3><b>{escape(shown.sample_id)}</b><span>IoU {shown.pair.overlap:.3f}</span></h3>"
    return f'<article class="sample card">{name}{picture}</article>'


def _legend(colours: Mapping[str, str]) -> str:
    tokens = (
        '<span><span class="token">seen</span>attended in full, no loss</span>'
        '<span><span class="token learned">learned</span>the loss falls here</span>'
    )
    boxes = '<span><i></i>what the suffix says</span><span><i class="left-out"></i>annotated, not in the suffix</span>'
    labels = "".join(
        f'<span><i class="dot" style="background:{colour}"></i>{escape(label)}</span>'
        for label, colour in colours.items()
    )
    return f'<div class="legend">{tokens}{boxes if colours else ""}{labels}</div>'


def _card(sample: ShownSample, colours: Mapping[str, str]) -> str:
    origin = "" if sample.origin == sample.sample_id else f'<p class="origin">{escape(sample.origin)}</p>'
    return (
        f'<article class="sample card"><h3><b>{escape(sample.sample_id)}</b>'
        f"<span>{sample.num_text_tokens} text tokens</span></h3>{origin}{_drawings(sample, colours)}"
        f"<dl>{_text('prefix', sample.prefix)}{_text('suffix', sample.suffix)}</dl>"
        f'<div class="tokens">{"".join(_token(run) for run in sample.tokens)}</div></article>'
    )


def _drawings(sample: ShownSample, colours: Mapping[str, str]) -> str:
    """Draw the images; boxes refer to the first one."""
    drawings = []
    for number, encoded in enumerate(sample.thumbnails_jpeg):
        drawings.append(
            drawing_html(
                jpeg_uri(encoded),
                predicted=() if number else sample.spoken,
                truth=() if number else sample.left_out,
                colours=colours,
                description=f"{sample.sample_id}, image {number + 1}: {sample.prefix}",
            )
        )
    return "".join(drawings)


def _text(name: str, text: str) -> str:
    if not text:
        return f'<dt>{name}</dt><dd class="empty">empty</dd>'
    return f"<dt>{name}</dt><dd>{escape(text)}</dd>"


def _token(run: TokenRun) -> str:
    piece = run.piece.replace("\n", "⏎").replace(_SPACE, "·")
    times = f" × {run.count}" if run.count > 1 else ""
    kind = ' class="learned"' if run.is_suffix else ""
    return f"<span{kind}>{escape(piece)}{times}</span>"
