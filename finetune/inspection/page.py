"""The page of `finetune inspect`: one file that opens from disk and asks the network for nothing."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from finetune.inspection import histograms, samples
from finetune.inspection.histograms import histogram_html
from finetune.inspection.publication import Publication
from finetune.inspection.reconstruction import Reconstruction
from finetune.inspection.samples import pairs_html, samples_html
from finetune.inspection.statistics import Duplicates, Inspection
from finetune.reporting import drawing
from finetune.reporting.page import facts_html, page_html, sections_html, table_html
from finetune.reporting.strict_json import write_file

_MOST_ROWS = 5000
_MOST_LABELS = 200
_FEW_ROWS = 10
_MOST_GROUPS = 20
_MOST_MEMBERS = 5
_COMPARED = (
    "Compared inside this split: ids; images, byte for byte; and images together with their prefix and suffix. Equal "
    "suffixes of different images are no duplicates."
)


def write_page(
    inspection: Inspection, path: Path, *, title: str, codec: str = "", publication: Publication | None = None
) -> None:
    """Write the page.

    Args:
        title: What was inspected, such as "voc, split train".
        codec: What turned masks into tokens; "" where nothing did.
        publication: What was found of a published data set; None: nobody published it.
    """
    write_file(path, inspection_html(inspection, title, codec, publication))


def inspection_html(inspection: Inspection, title: str, codec: str = "", publication: Publication | None = None) -> str:
    """Return the page. Arguments are those of `write_page`."""
    sections = {
        "As published": _publication(publication),
        "Bad samples": _bad_samples(inspection),
        "Text": _text(inspection),
        "Objects": _objects(inspection),
        "Masks as tokens": _masks(inspection.reconstruction, codec),
        "Images": _image_sizes(inspection),
        "Left out or changed": _notes(inspection),
        "Duplicates": _duplicates(inspection.duplicates),
        "The longest example": samples_html([inspection.longest]) if inspection.longest is not None else "",
        "Samples": samples_html(inspection.shown) if inspection.shown else "",
    }
    styles = (_STYLE, histograms.STYLE, samples.STYLE, drawing.STYLE)
    return page_html(title, facts=_headline(inspection), body=sections_html(sections), styles=styles)


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
    problems = {"bad": len(inspection.skips), "too long": inspection.num_too_long}
    return facts_html(facts, alarming=[name for name, count in problems.items() if count])


def _publication(publication: Publication | None) -> str:
    if publication is None:
        return ""
    card = publication.card
    rows = [
        (one.split, "–" if one.num_found is None else f"{one.num_found:,}", f"{one.num_published:,}", one.verdict())
        for one in publication.splits
    ]
    told = f"{card.title}, from {card.homepage}. Licence: {card.licence}. Published counts: {card.counts_source}."
    return f"<p>{escape(told)}</p>{table_html(('split', 'rows here', 'rows published', ''), rows)}"


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
        table_html(("reason", "samples"), [(code, f"{count:,}") for code, count in reasons])
        + f"<details{state}><summary>{listed}</summary>"
        + table_html(("where", "sample", "field", "reason", "what"), rows)
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
        common = f"<p>{inspection.num_suffixes:,} different suffixes; the most frequent:</p>" + table_html(
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
        for count in inspection.labels[:_MOST_LABELS]
    ]
    head = ("label", "boxes", "share", "images", "median size")
    return f'<div class="figures">{"".join(figures)}</div>{table_html(head, rows)}'


def _masks(reconstruction: Reconstruction | None, codec: str) -> str:
    if reconstruction is None:
        return ""
    told = (
        f"Each of {reconstruction.num_masks:,} masks was said in sixteen tokens by the codec {codec} and drawn again: "
        f"mean IoU {reconstruction.mean:.3f}, median {reconstruction.median:.3f}, "
        f"{100 * reconstruction.share_below_half:.1f} % below 0.5. A model that has learnt the suffixes without a "
        "mistake scores so much, and no more: sixteen tokens hold a shape of 64 x 64 pixels coarsely."
    )
    figure = ""
    if reconstruction.overlap_percent is not None:
        figure = histogram_html("IoU of masks with themselves", reconstruction.overlap_percent, unit="%")
    rows = [
        (label.label, f"{label.num_masks:,}", f"{label.mean:.3f}", f"{label.worst:.3f}")
        for label in reconstruction.labels[:_MOST_LABELS]
    ]
    table = table_html(("label", "masks", "mean IoU", "worst IoU"), rows)
    worst = f"<p>The worst ones:</p>{pairs_html(reconstruction.worst)}"
    return f'<p>{told}</p><div class="figures">{figure}</div>{table}{worst}'


def _image_sizes(inspection: Inspection) -> str:
    rows = [
        (f"{width} × {height}", f"{count:,}", _share(count, inspection.num_usable))
        for (height, width), count in inspection.image_sizes
    ]
    different = f"{inspection.num_image_sizes:,} different sizes" if inspection.num_image_sizes > 1 else "One size"
    return f"<p>{different}.</p>{table_html(('width × height', 'images', 'share'), rows)}" if rows else ""


def _notes(inspection: Inspection) -> str:
    rows = [(note, f"{count:,}") for note, count in inspection.notes.items()]
    return table_html(("what", "count"), rows) if rows else ""


def _duplicates(duplicates: Sequence[Duplicates]) -> str:
    parts = []
    for kind in duplicates:
        if not kind.groups:
            continue
        parts.append(
            f"<p>{len(kind.groups):,} groups of samples with {kind.what}, {_num_repeated(kind):,} more than needed.</p>"
        )
        rows = [(_name_group(group), f"{len(group):,}") for group in kind.groups[:_MOST_GROUPS]]
        parts.append(table_html(("samples", "count"), rows))
    found = "".join(parts) or "<p>None.</p>"
    return f"<p>{_COMPARED}</p>{found}"


def _name_group(group: Sequence[tuple[str, str]]) -> str:
    names = [origin if origin == sample_id else f"{sample_id} ({origin})" for origin, sample_id in group]
    more = f", and {len(names) - _MOST_MEMBERS:,} more" if len(names) > _MOST_MEMBERS else ""
    return ", ".join(names[:_MOST_MEMBERS]) + more


def _num_repeated(duplicates: Duplicates) -> int:
    return sum(len(group) - 1 for group in duplicates.groups)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


_STYLE = """
:root{--learned:#c9efdb;--learned-ink:#0b5a3c}
@media (prefers-color-scheme:dark){:root{--learned:#1c5c43;--learned-ink:#d8f6e7}}
header dl{gap:10px 32px}
header dd{font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}
section p{margin:0 0 12px;color:var(--soft);font-size:13px}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px;margin-bottom:14px;
max-width:1192px}
.figures .histogram:only-child{max-width:588px}
.table{width:fit-content;max-width:100%}
table{width:auto}
th,td{overflow-wrap:break-word}
td{max-width:620px}
th{white-space:nowrap}
summary{margin-bottom:10px}
"""
