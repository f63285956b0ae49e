"""Predictions as lines of a file, written whole or while they are made."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from finetune.reporting.rows import PredictionRow, row_to_json
from finetune.reporting.strict_json import UNPAIRED, dumps, write_file


def write_predictions(path: Path, rows: Sequence[PredictionRow]) -> Path:
    """Write rows to `path` in one step, their images to the folder of the same name beside it; return `path`."""
    forget_images(path)
    write_file(path, "".join([_line(path, index, row) for index, row in enumerate(rows)]))
    return path


@contextmanager
def growing_predictions(path: Path | None) -> Iterator[Callable[[PredictionRow], None]]:
    """Give a function that adds a row to `path`, which begins anew, or to standard output.

    A row's line is with its reader when the function returns: a command that is broken off leaves what it has made.
    Standard output gets no images.
    """
    if path is None:
        yield lambda row: print(dumps(row_to_json(row, None)), file=sys.stdout, flush=True)
        return
    forget_images(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    indices = count()
    with path.open("w", encoding="utf-8", errors=UNPAIRED) as file:

        def write(row: PredictionRow) -> None:
            file.write(_line(path, next(indices), row))
            file.flush()

        yield write


def forget_images(path: Path) -> None:
    """Delete the images that an earlier writing left, and nothing else: the folder may be somebody's own."""
    folder = path.with_suffix("")
    for image in folder.glob("[0-9][0-9][0-9][0-9][0-9].jpg"):
        image.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _line(path: Path, index: int, row: PredictionRow) -> str:
    """Write the row's image if it has one; return its line."""
    thumbnail = None
    if row.thumbnail_jpeg is not None:
        thumbnail = f"{path.stem}/{index:05d}.jpg"
        image = path.parent / thumbnail
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(row.thumbnail_jpeg)
    return dumps(row_to_json(row, thumbnail)) + "\n"
