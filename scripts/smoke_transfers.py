"""Start every transfer on the tiny model and the few rows of its test asset, and say which of them run.

    python scripts/smoke_transfers.py [experiment ...]

Each is `finetune train experiment=<name> model=tiny debug=smoke dataset.root=tests/assets/published/<data set>`.
"""

import contextlib
import importlib.util
import io
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from finetune.cli import run

_SCRIPTS = Path(__file__).resolve().parent


def smoke(name: str, dataset: str, assets: Path, runs: Path, *more: str) -> tuple[int, str]:
    """Train one experiment for two steps.

    Args:
        runs: Folder for its run.
        more: Further words of the command line.

    Returns:
        The exit code, and what was said.
    """
    said = io.StringIO()
    words = [f"experiment={name}", "model=tiny", "debug=smoke", f"dataset.root={assets / dataset}", f"runs={runs}"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = run(["train", *words, f"name={name}", *more])
    return code, said.getvalue()


def main() -> int:
    """Start the named experiments, or all; the exit code is 0 if all of them run."""
    spec = importlib.util.spec_from_file_location("golden", _SCRIPTS / "regenerate_golden.py")
    assert spec is not None
    assert spec.loader is not None
    golden = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(golden)
    transfers = {
        name: dataset for name, dataset in golden.transfers().items() if not sys.argv[1:] or name in sys.argv[1:]
    }
    console, table, worst, started = (
        Console(),
        Table("experiment", "data set", "seconds", "exit code"),
        0,
        time.monotonic(),
    )
    for name, dataset in transfers.items():
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as runs:
            code, said = smoke(name, dataset, golden.ASSETS, Path(runs))
        table.add_row(name, dataset, f"{time.monotonic() - begun:.1f}", str(code))
        worst = max(worst, code)
        if code:
            console.print(f"{name}:\n{said}")
    console.print(table)
    console.print(f"{len(transfers)} experiments in {time.monotonic() - started:.0f} s")
    return worst


if __name__ == "__main__":
    sys.exit(main())
