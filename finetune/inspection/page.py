"""The page of `finetune inspect`: one file that opens from disk and asks the network for nothing."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from finetune.inspection import histograms, samples
from finetune.inspection.histograms import histogram_html
from finetune.inspection.samples import samples_html
from finetune.inspection.statistics import Duplicates, Inspection
from finetune.reporting import drawing
from finetune.reporting.strict_json import write_file

_MOST_ROWS = 5000
_FEW_ROWS = 10
_MOST_GROUPS = 20
_MOST_MEMBERS = 5


def write_page(inspection: Inspection, path: Path, *, title: str) -> None:
    """Write the page. `title` says what was inspected, such as "voc, split train"."""
    write_file(path, page_html(inspection, title))


def page_html(inspection: Inspection, title: str) -> str:
    """Return the page. Its policy forbids the browser to load anything."""
    sections = {
        "Bad samples": _bad_samples(inspection),
        "Text": _text(inspection),
        "Objects": _objects(inspection),
        "Images": _image_sizes(inspection),
        "Left out or changed": _notes(inspection),
        "Duplicates": _duplicates(inspection.duplicates),
        "The longest example": samples_html([inspection.longest]) if inspection.longest is not None else "",
        "Samples": samples_html(inspection.shown) if inspection.shown else "",
    }
    body = "".join(f"<section><h2>{name}</h2>{html}</section>" for name, html in sections.items() if html)
    style = _STYLE + histograms.STYLE + samples.STYLE + drawing.STYLE
    return _PAGE.format(title=escape(title), style=style, headline=_headline(inspection), body=body)


def _headline(inspection: Inspection) -> str:
    facts = {
        "samples": f"{inspection.num_samples:,}",
        "usable": f"{inspection.num_usable:,}",
        "bad": f"{len(inspection.skips):,}",
        "too long": f"{inspection.num_too_long:,} ({_share(inspection.num_too_long, inspection.num_samples)})",
        "boxes": f"{inspection.num_boxes:,}",
        "labels": f"{len(inspection.labels):,}",
        "repeated samples": f"{_num_repeated(inspection.duplicates[-1]):,}",
    }
    alarming = {"bad": len(inspection.skips), "too long": inspection.num_too_long}
    return "".join(
        f"<div><dt>{name}</dt><dd{' class=alarming' if alarming.get(name) else ''}>{fact}</dd></div>"
        for name, fact in facts.items()
    )


def _bad_samples(inspection: Inspection) -> str:
    """Count the reasons, then list the samples."""
    skips = inspection.skips
    if not skips:
        return "<p>Every sample can be used.</p>"
    reasons = Counter(skip.code for skip in skips).most_common()
    rows = [(skip.origin, skip.sample_id, skip.field_name, skip.code, skip.message) for skip in skips[:_MOST_ROWS]]
    listed = "each of them" if len(skips) <= _MOST_ROWS else f"the first {_MOST_ROWS} of them"
    state = " open" if len(rows) <= _FEW_ROWS else ""
    return (
        _table(("reason", "samples"), [(code, f"{count:,}") for code, count in reasons])
        + f"<details{state}><summary>{listed}</summary>"
        + _table(("where", "sample", "field", "reason", "what"), rows)
        + "</details>"
    )


def _text(inspection: Inspection) -> str:
    if inspection.text_tokens is None:
        return ""
    limit = inspection.max_text_tokens
    figure = histogram_html("Text tokens of an example", inspection.text_tokens, unit="tokens", limit=limit)
    over = _share(inspection.num_too_long, inspection.num_samples)
    told = f"<p>{inspection.num_too_long:,} samples ({over}) are over data.max_text_tokens={limit}.</p>"
    common = ""
    if inspection.common_suffixes:
        rows = [
            (text, f"{count:,}", _share(count, inspection.num_usable)) for text, count in inspection.common_suffixes
        ]
        common = f"<p>{inspection.num_suffixes:,} different suffixes; the most frequent:</p>" + _table(
            ("suffix", "samples", "share"), rows
        )
    return f'{told}<div class="figures">{figure}</div>{common}'


def _objects(inspection: Inspection) -> str:
    if inspection.objects_per_image is None:
        return ""
    figures = [histogram_html("Objects in an image", inspection.objects_per_image, unit="objects")]
    if inspection.side_percent is not None:
        unit = "% of the side"
        figures.append(histogram_html("Box size (root of area)", inspection.side_percent, unit=unit))
    rows = [
        (
            count.label,
            f"{count.num_boxes:,}",
            _share(count.num_boxes, inspection.num_boxes),
            f"{count.num_images:,}",
            f"{count.median_side:.1f} %",
        )
        for count in inspection.labels
    ]
    head = ("label", "boxes", "share", "images", "median size")
    return f'<div class="figures">{"".join(figures)}</div>{_table(head, rows)}'


def _image_sizes(inspection: Inspection) -> str:
    rows = [
        (f"{width} × {height}", f"{count:,}", _share(count, inspection.num_usable))
        for (height, width), count in inspection.image_sizes
    ]
    different = f"{inspection.num_image_sizes:,} different sizes" if inspection.num_image_sizes > 1 else "One size"
    return f"<p>{different}.</p>{_table(('width × height', 'images', 'share'), rows)}" if rows else ""


def _notes(inspection: Inspection) -> str:
    rows = [(note, f"{count:,}") for note, count in inspection.notes.items()]
    return _table(("what", "count"), rows) if rows else ""


def _duplicates(duplicates: Sequence[Duplicates]) -> str:
    parts = []
    for kind in duplicates:
        if not kind.groups:
            continue
        parts.append(
            f"<p>{len(kind.groups):,} groups of samples with {kind.what}, {_num_repeated(kind):,} more than needed.</p>"
        )
        rows = [(_name_group(group), f"{len(group):,}") for group in kind.groups[:_MOST_GROUPS]]
        parts.append(_table(("samples", "count"), rows))
    return "".join(parts) or "<p>No two samples share an id, an image or a text.</p>"


def _name_group(group: Sequence[tuple[str, str]]) -> str:
    names = [origin if origin == sample_id else f"{sample_id} ({origin})" for origin, sample_id in group]
    more = f", and {len(names) - _MOST_MEMBERS:,} more" if len(names) > _MOST_MEMBERS else ""
    return ", ".join(names[:_MOST_MEMBERS]) + more


def _num_repeated(duplicates: Duplicates) -> int:
    return sum(len(group) - 1 for group in duplicates.groups)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="card table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head>
<body><main><header><h1>{title}</h1><dl>{headline}</dl></header>{body}</main></body></html>
"""

_STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#667085;--edge:#e4e7ec;--tint:#eef2f8;
--accent:#2a66d9;--bad:#c8372d;--learned:#c9efdb;--learned-ink:#0b5a3c}
@media (prefers-color-scheme:dark){:root{--page:#12161d;--card:#1a2029;--ink:#e8ecf3;--soft:#98a2b3;--edge:#2b3340;
--tint:#263040;--accent:#7aa7ff;--bad:#ff7b72;--learned:#1c5c43;--learned-ink:#d8f6e7}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1240px;margin:0 auto;padding:36px 24px 64px}
h1{margin:0 0 14px;font-size:26px;font-weight:680;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{margin:40px 0 14px;font-size:17px;font-weight:650}
header dl{margin:0;display:flex;flex-wrap:wrap;gap:10px 32px}
header dt{font-size:11px;color:var(--soft)}
header dd{margin:0;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
header dd.alarming{color:var(--bad)}
section p{margin:0 0 12px;color:var(--soft);font-size:13px}
.card{background:var(--card);border:1px solid var(--edge);border-radius:10px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px;margin-bottom:14px;
max-width:1192px}
.figures .histogram:only-child{max-width:588px}
.table{overflow-x:auto;margin-bottom:14px;width:fit-content;max-width:100%}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:7px 16px;text-align:left;vertical-align:top;overflow-wrap:break-word}
td{max-width:620px}
th{font-weight:550;color:var(--soft);border-bottom:1px solid var(--edge);white-space:nowrap}
tbody tr+tr td{border-top:1px solid var(--edge)}
summary{cursor:pointer;color:var(--soft);margin-bottom:10px}
"""
