"""Whatever stands in an authors' file, a data set reads it or says which file is wrong: never a traceback."""

import importlib
import json
import pkgutil
import random
import shutil
from collections.abc import Iterator
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from datasets_adapters import published
from datasets_adapters.published.base import PublishedDataset

ASSETS = Path(__file__).parents[2] / "assets" / "published"
NUM_DAMAGES = 40
# Data sets with a split for each language have dozens of one form.
MOST_SPLITS = 12
VALUES: tuple[Any, ...] = (None, [], [1], ["x"], [{}], {}, {"a": 1}, 7, -1, 10**30, 1.5, True, "x", "", "../../x")
LINES = ("", "x", "x y z", "1,2", '"', "\ufeff", "\0")
_FILES = {".json", ".jsonl", ".jsonlines", ".csv", ".txt", ".krn"}
_STOP_HERE = 0.2
_CUT_OFF = 0.05


def _with_assets() -> Iterator[tuple[str, type[PublishedDataset]]]:
    for module in pkgutil.iter_modules(published.__path__):
        content = vars(importlib.import_module(f"{published.__name__}.{module.name}"))
        own = (one for one in content.values() if getattr(one, "__module__", None) == content["__name__"])
        for cls in own:
            if isinstance(cls, type) and issubclass(cls, PublishedDataset) and (ASSETS / module.name).is_dir():
                yield module.name, cls


DATASETS = dict(_with_assets())


def _damage(content: bytes, draw: random.Random) -> bytes:
    """Return a file with one thing in it that should not be there, or without one that should."""
    if draw.random() < _CUT_OFF:
        return content[: draw.randrange(len(content))]
    if draw.random() < _CUT_OFF:
        return content.replace(content[draw.randrange(len(content)) :][:1], b"\xff", 1)
    try:
        return json.dumps(_damaged(json.loads(content), draw)).encode()
    except ValueError:
        lines = content.decode().splitlines(keepends=True)
    number = draw.randrange(len(lines))
    try:
        lines[number] = json.dumps(_damaged(json.loads(lines[number]), draw)) + "\n"
    except ValueError:
        lines[number] = _damaged_line(lines[number], draw)
    return "".join(lines).encode()


def _damaged(value: Any, draw: random.Random) -> Any:
    """Walk into a value; replace what the walk ends at, or take it away."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw.random() < _STOP_HERE:
        return draw.choice(VALUES)
    key = draw.choice(keys)
    if draw.random() < _STOP_HERE:
        del value[key]
    else:
        value[key] = _damaged(value[key], draw)
    return value


def _damaged_line(line: str, draw: random.Random) -> str:
    cells = line.rstrip("\r\n").split(",")
    cells[draw.randrange(len(cells))] = draw.choice(LINES)
    return ",".join(cells) + "\n" if draw.random() > _STOP_HERE else draw.choice(LINES) + "\n"


def _settings(cls: type[PublishedDataset]) -> list[dict[str, Any]]:
    """Return what there is to choose, one thing at a time."""
    found: list[dict[str, Any]] = [{}]
    for field in fields(cls):
        if isinstance(field.default, bool):
            found.append({field.name: not field.default})
        elif isinstance(field.default, Enum):
            found += [{field.name: one} for one in type(field.default)]
    return found


def _opens(dataset: PublishedDataset, split: str) -> bool:
    try:
        return len(dataset.open(split)) > 0
    except ValueError:
        return False


def _complaints(dataset: PublishedDataset, split: str) -> Iterator[str]:
    """Yield what a split says of its files and rows."""
    try:
        source = dataset.open(split)
    except ValueError as error:
        yield str(error)
        return
    for index in range(len(source)):
        try:
            source[index]
        except ValueError as error:
            yield str(error)


@pytest.mark.parametrize("name", DATASETS)
def test_a_damaged_file_is_read_or_named(name: str, tmp_path: Path) -> None:
    root = tmp_path / name
    shutil.copytree(ASSETS / name, root)
    files = sorted(path for path in root.rglob("*") if path.suffix in _FILES)
    variants = [DATASETS[name](root=str(root), **settings) for settings in _settings(DATASETS[name])]
    splits = [split for split in variants[0].splits if _opens(variants[0], split)]
    assert splits
    draw = random.Random(name)
    for _ in range(NUM_DAMAGES):
        path, dataset = draw.choice(files), draw.choice(variants)
        whole = path.read_bytes()
        path.write_bytes(_damage(whole, draw))
        opened = draw.sample(splits, min(len(splits), MOST_SPLITS))
        for complaint in (complaint for split in opened for complaint in _complaints(dataset, split)):
            assert any(file.name in complaint for file in files), complaint
        path.write_bytes(whole)


def test_there_are_data_sets_to_damage() -> None:
    assert len(DATASETS) > 40
