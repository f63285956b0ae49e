"""`finetune report`: runs beside the published figures, for the terminal, as Markdown or as a page."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from finetune.config.commands import ReportCommand
from finetune.leaderboard.comparison import Comparison, compare
from finetune.leaderboard.figures import published
from finetune.leaderboard.find import find_results
from finetune.leaderboard.table import COLUMNS, NUMERIC, cells, markdown, page, remarks
from finetune.reporting.strict_json import write_file

# Where there is no terminal to fit into.
_WIDE = (200, 24)


def show_leaderboard(command: ReportCommand) -> None:
    """Print the table, and write it where that is wanted.

    Raises:
        ValueError: If a folder is no run and holds none, or a run that is named itself is damaged.
    """
    results = find_results(command.folders, lambda damage: print(f"warning: left out: {damage}", file=sys.stderr))
    comparisons = [one for result in results for one in compare(result, published())]
    _print(comparisons)
    if command.to is not None:
        text = markdown(comparisons) if command.to.endswith(".md") else page(comparisons)
        write_file(Path(command.to), text)
        print(f"table: {command.to}")


def _print(comparisons: Sequence[Comparison]) -> None:
    table = Table()
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in NUMERIC else "left", overflow="fold")
    for one in comparisons:
        table.add_row(*cells(one))
    console = Console(width=shutil.get_terminal_size(_WIDE).columns, markup=False, highlight=False)
    console.print(table)
    for sentence in remarks(comparisons):
        console.print(sentence)
