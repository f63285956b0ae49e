"""Results as tables on the terminal: the same rows as in Markdown."""

import shutil
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from finetune.benchmark.markdown import note_of, rows_of

# Where there is no terminal to fit into.
_WIDE = (170, 24)


def print_section(section: Mapping[str, Any]) -> None:
    """Print a section's table, and below it what its numbers are."""
    columns, rows = rows_of(section)
    table = Table(title=section["title"], title_justify="left", caption=note_of(section), caption_justify="left")
    table.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        table.add_column(column, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=shutil.get_terminal_size(_WIDE).columns, markup=False, highlight=False)
    console.print(table)
    for name, row in section.get("variants", {}).items():
        console.print(f"{name}: {row['what']}")
