"""Which folders a person means by names and patterns: runs, and folders of runs."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from glob import glob
from pathlib import Path

from finetune.leaderboard.run_result import RunResult, is_run, read_result

_EVALUATIONS = "evaluations"


def find_results(named: Sequence[str], warn: Callable[[str], None]) -> list[RunResult]:
    """Return the results of every run that is named, and after each those of its own evaluations.

    Args:
        named: Folders of runs, folders that hold such folders, and glob patterns of both.
        warn: Told of each damaged run or evaluation that was found, not named itself: the others are returned.

    Raises:
        ValueError: If one of them is no run and holds none, if a run that was named itself is damaged, or all are.
    """
    found = dict.fromkeys(run for text in named for run in _runs_of(text))
    names = Counter(_name(path) for path in found)
    places = [
        place for path in found for place in _places_of(path, str(path) if names[_name(path)] > 1 else _name(path))
    ]
    results = _read_all(places, {Path(text) for text in named}, warn)
    if not results:
        raise ValueError(f"{', '.join(named)}: no run that can be read")
    return results


def _read_all(
    places: Sequence[tuple[Path, str]], named: Collection[Path], warn: Callable[[str], None]
) -> list[RunResult]:
    results = []
    for folder, name in places:
        try:
            results.append(read_result(folder, name))
        except ValueError as error:
            if folder in named:
                raise
            warn(str(error))
    return results


def _runs_of(text: str) -> list[Path]:
    folders = (
        [Path(text)] if Path(text).is_dir() else [Path(match) for match in sorted(glob(text)) if Path(match).is_dir()]
    )
    if not folders:
        raise ValueError(f"{text}: there is no such folder; give folders of runs, such as runs/first or 'runs/*'")
    runs = [run for folder in folders for run in ([folder] if _has_results(folder) else _inside(folder))]
    if not runs:
        raise ValueError(f"{text}: neither a run nor a folder that holds some; a run's folder has a run.json")
    return runs


def _inside(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and _has_results(child))


def _has_results(folder: Path) -> bool:
    # A base model that was scored has a folder with nothing but evaluations.
    return is_run(folder) or bool(_evaluations(folder))


def _evaluations(run: Path) -> list[Path]:
    return sorted(child for child in (run / _EVALUATIONS).glob("*") if is_run(child))


def _places_of(run: Path, name: str) -> list[tuple[Path, str]]:
    """Return where a run and its evaluations lie, and what to call them."""
    own = [(run, name)] if is_run(run) else []
    return [*own, *((child, f"{name}/{child.name}") for child in _evaluations(run))]


def _name(run: Path) -> str:
    return run.name if run.name not in ("", "..") else run.resolve().name
