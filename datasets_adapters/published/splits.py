"""Splits written as sums of slices, as the original's configurations write them: train+val, train[:98%]+restval.

    train            every row of the file of that name
    train[:-1024]    all but its last 1024 rows
    train[:98%]      its first 98 hundredths; a border that falls between two rows goes to the nearer one
    train+val        one after the other

Source:
    TensorFlow Datasets' split API, whose rounding ("closest") this follows.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

from finetune.names import hint
from finetune.types import Sample, Source

_PART = re.compile(r"(?P<name>[\w./-]+)(?:\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedSource:
    """Slices of sources, one after another. Picklable where they are.

    Args:
        slices: Each source with its first row and the one after its last.
    """

    slices: tuple[tuple[Source, int, int], ...]

    @property
    def block_size(self) -> int | None:
        """None: any row can be read at any time."""
        return None

    def __len__(self) -> int:
        return sum(stop - start for _, start, stop in self.slices)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"the split has {len(self)} rows, got index {index}")
        ends = list(accumulate(stop - start for _, start, stop in self.slices))
        number = bisect_right(ends, index)
        source, start, stop = self.slices[number]
        return source[start + index - (ends[number] - (stop - start))]


def open_split(split: str, known: Collection[str], open_one: Callable[[str], Source]) -> Source:
    """Open a split or a sum of slices of splits.

    Args:
        split: Such as "train", "train+val" or "train[:-5%]".
        known: The names that `open_one` takes.
        open_one: Opens one split whole; called once for each name.

    Raises:
        ValueError: If the expression cannot be read, or names a split that is not known.
    """
    parts = [_read_part(part.strip(), split, known) for part in split.split("+")]
    opened = {name: open_one(name) for name in dict.fromkeys(name for name, _, _ in parts)}
    slices = tuple((opened[name], *_bounds(start, stop, len(opened[name]))) for name, start, stop in parts)
    if len(slices) == 1 and slices[0][1:] == (0, len(slices[0][0])):
        return slices[0][0]
    return JoinedSource(slices=slices)


def split_names(split: str) -> Sequence[str]:
    """Return the splits that an expression names, each once."""
    return list(dict.fromkeys(re.sub(r"\[.*?\]", "", part).strip() for part in split.split("+")))


def _read_part(part: str, split: str, known: Collection[str]) -> tuple[str, str | None, str | None]:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"cannot read the split {split!r} at {part!r}: write train, train[:98%] or train+val")
    if match["name"] not in known:
        raise ValueError(f"there is no split {match['name']!r}; {hint(match['name'], known)}")
    return match["name"], match["start"], match["stop"]


def _bounds(start: str | None, stop: str | None, length: int) -> tuple[int, int]:
    first = 0 if start is None else _border(start, length)
    return first, max(first, length if stop is None else _border(stop, length))


def _border(text: str, length: int) -> int:
    # Half to even, as the original's round() does.
    place = round(int(text[:-1]) * length / 100) if text.endswith("%") else int(text)
    return min(max(place + length if place < 0 else place, 0), length)
