"""What every page of ours is made of: it opens from disk, and its policy forbids the browser to load anything."""

from collections.abc import Collection, Mapping, Sequence
from html import escape

_STYLE = """
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#1b2330;--soft:#667085;--edge:#e4e7ec;--tint:#eef2f8;
--accent:#2a66d9;--good:#0f8a5f;--bad:#c8372d}
@media (prefers-color-scheme:dark){:root{--page:#12161d;--card:#1a2029;--ink:#e8ecf3;--soft:#98a2b3;--edge:#2b3340;
--tint:#263040;--accent:#7aa7ff;--good:#4cc38a;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:14px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1240px;margin:0 auto;padding:36px 24px 64px}
h1{margin:0 0 14px;font-size:26px;font-weight:680;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{margin:40px 0 14px;font-size:17px;font-weight:650}
header dl{margin:0;display:flex;flex-wrap:wrap;gap:10px 28px}
header dt{font-size:11px;color:var(--soft)}
header dd{margin:0;font-weight:550;overflow-wrap:anywhere}
header dd.alarming{color:var(--bad)}
section>p{margin:-8px 0 12px;color:var(--soft);font-size:13px}
.card{background:var(--card);border:1px solid var(--edge);border-radius:10px}
.table{overflow-x:auto;margin-bottom:14px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:7px 16px;text-align:left;vertical-align:top}
th{font-weight:550;color:var(--soft);border-bottom:1px solid var(--edge)}
tbody tr+tr td{border-top:1px solid var(--edge)}
summary{cursor:pointer;color:var(--soft)}
"""

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head>
<body><main><header><h1>{title}</h1><dl>{facts}</dl></header>{body}</main></body></html>
"""


def page_html(title: str, *, facts: str, body: str, styles: Sequence[str]) -> str:
    """Put a page together.

    Args:
        facts: HTML of `facts_html`, to stand below the title.
        body: HTML of sections.
        styles: What the body needs beyond the style of every page; a later rule wins over an earlier one.
    """
    return _PAGE.format(title=escape(title), style=_STYLE + "".join(styles), facts=facts, body=body)


def sections_html(sections: Mapping[str, str]) -> str:
    """Give each piece of HTML its heading; those without content are left out."""
    return "".join(f"<section><h2>{escape(name)}</h2>{html}</section>" for name, html in sections.items() if html)


def facts_html(facts: Mapping[str, str], *, alarming: Collection[str] = ()) -> str:
    """Show facts by name; those in `alarming` stand out."""
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd{' class=alarming' if name in alarming else ''}>{escape(fact)}</dd></div>"
        for name, fact in facts.items()
    )


def table_html(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Show rows of cells under their columns' names."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="card table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
