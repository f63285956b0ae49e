"""Comparisons as a table for people."""

import shutil
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from finetune.verification.comparison import Comparison

# Where there is no terminal to fit into.
_WIDE = (170, 24)


def print_table(title: str, comparisons: Sequence[Comparison]) -> None:
    """Print one line for each quantity."""
    table = Table(title=title, title_justify="left")
    for name in ("quantity", "measure"):
        table.add_column(name)
    for name in ("found", "allowed"):
        table.add_column(name, justify="right")
    table.add_column("equal")
    table.add_column("what was compared", overflow="fold")
    for comparison in comparisons:
        table.add_row(
            comparison.quantity,
            comparison.measure,
            f"{comparison.found:.3g}",
            f"{comparison.tolerance:g}",
            "yes" if comparison.is_within else "NO",
            comparison.detail,
        )
    Console(width=shutil.get_terminal_size(_WIDE).columns, markup=False, highlight=False).print(table)
