"""How the examples of a batch lie in its rows, as attention without a mask needs it; worked out where rows are made.

An example's attention takes two calls, neither of which needs a mask (I image, B BOS, n newline, s suffix, E EOS):

                 key   I B n s E
        query I        x x x . .     head: all of the prefix but its last position, on the prefix in full
        query B        x x x . .
        query n        x x x . .     tail: the prefix's last position and the suffix, on the whole example, causal from
        query s        x x x x .           the lower right corner; what predicts a target is among these
        query E        x x x x x

Several suffixes on one prefix are a tree, which these calls cannot express: a tree needs a mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial

import numpy as np
import torch
from jaxtyping import Int32, Int64
from torch import Tensor


class Arrangement(Enum):
    """What kind of rows a batch has."""

    equal = "one example a row with equal prefixes"
    packed = "packed rows or unequal prefixes"
    tree = "several suffixes on one prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Examples, and the padding behind them, end to end in flat positions (row * tokens + column).

    Args:
        head_rows, tail_rows, prefix_rows: The flat positions of all heads, all tails and all prefixes.
        head_ends, tail_ends, prefix_ends, ends: Running totals of their lengths and of whole segments, from 0.
        joined: Where each flat position stands in the heads followed by the tails.
        longest_head, longest_tail, longest_prefix, longest: In tokens.
    """

    head_rows: Int64[Tensor, " heads"]
    tail_rows: Int64[Tensor, " tails"]
    prefix_rows: Int64[Tensor, " prefixes"]
    head_ends: Int32[Tensor, " bounds"]
    tail_ends: Int32[Tensor, " bounds"]
    prefix_ends: Int32[Tensor, " bounds"]
    ends: Int32[Tensor, " bounds"]
    joined: Int64[Tensor, " tokens"]
    longest_head: int
    longest_tail: int
    longest_prefix: int
    longest: int

    def to(self, device: torch.device) -> "Segments":
        """Return the same on `device`."""
        tensors = [name for name in self.__dataclass_fields__ if not name.startswith("longest")]
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in tensors})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What kernels must know of a batch without asking the device.

    Args:
        tail_rows: Flat positions of the tails, row by row; shorter ones are filled up with a position of their row.
        equal_prefix: Tokens of each row's prefix, where rows are equal; None otherwise.
        segments: Where rows are packed; None otherwise.
    """

    arrangement: Arrangement
    tail_rows: Int64[Tensor, "rows tail"]
    equal_prefix: int | None = None
    segments: Segments | None = None

    def to(self, device: torch.device) -> "Layout":
        """Return the same on `device`."""
        return replace(
            self,
            tail_rows=self.tail_rows.to(device, non_blocking=True),
            segments=None if self.segments is None else self.segments.to(device),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one prefix and the suffixes that continue it stand: in one row, end to end."""

    row: int
    column: int
    prefix_tokens: int
    suffix_tokens: tuple[int, ...]

    @property
    def num_tokens(self) -> int:
        """Columns that are taken."""
        return self.prefix_tokens + sum(self.suffix_tokens)


def lay_out(places: Sequence[Place], *, num_rows: int, row_tokens: int) -> Layout:
    """Describe rows of `row_tokens` columns that hold `places`, ordered by row and column."""
    tails = partial(_tail_rows, places, num_rows, row_tokens)
    if any(len(place.suffix_tokens) > 1 for place in places):
        return Layout(arrangement=Arrangement.tree, tail_rows=tails(is_filled=False))
    prefixes = {place.prefix_tokens for place in places}
    if len(places) == num_rows and len(prefixes) == 1:
        return Layout(arrangement=Arrangement.equal, tail_rows=tails(is_filled=True), equal_prefix=prefixes.pop())
    return Layout(
        arrangement=Arrangement.packed,
        tail_rows=tails(is_filled=False),
        segments=_segments(places, num_rows, row_tokens),
    )


def _tail_rows(places: Sequence[Place], num_rows: int, row_tokens: int, *, is_filled: bool) -> Tensor:
    """Return the flat positions of the tails; `is_filled` makes them one block of columns, padding included."""
    columns: list[list[int]] = [[] for _ in range(num_rows)]
    for place in places:
        stop = row_tokens if is_filled else place.column + place.num_tokens
        columns[place.row].extend(range(place.column + place.prefix_tokens - 1, stop))
    width = max(len(row) for row in columns)
    filled = [row + [row[-1]] * (width - len(row)) for row in columns]
    return torch.tensor(filled, dtype=torch.int64) + torch.arange(num_rows)[:, None] * row_tokens


def _segments(places: Sequence[Place], num_rows: int, row_tokens: int) -> Segments:
    spans: list[tuple[int, int, int]] = []
    starts = [place.row * row_tokens + place.column for place in places]
    for place, start, next_start in zip(places, starts, [*starts[1:], num_rows * row_tokens], strict=True):
        spans.append((start, place.prefix_tokens, place.num_tokens))
        padding = next_start - start - place.num_tokens
        if padding:
            # It reads itself, as a prefix without suffix would, and nobody reads it.
            spans.append((start + place.num_tokens, padding, padding))
    first, prefix, length = np.array(spans, dtype=np.int64).T
    heads, tails = _ranges(first, prefix - 1), _ranges(first + prefix - 1, length - prefix + 1)
    joined = np.empty(num_rows * row_tokens, dtype=np.int64)
    joined[np.concatenate([heads, tails])] = np.arange(len(joined))
    return Segments(
        head_rows=torch.from_numpy(heads),
        tail_rows=torch.from_numpy(tails),
        prefix_rows=torch.from_numpy(_ranges(first, prefix)),
        head_ends=_ends(prefix - 1),
        tail_ends=_ends(length - prefix + 1),
        prefix_ends=_ends(prefix),
        ends=_ends(length),
        joined=torch.from_numpy(joined),
        longest_head=int(prefix.max()) - 1,
        longest_tail=int((length - prefix).max()) + 1,
        longest_prefix=int(prefix.max()),
        longest=int(length.max()),
    )


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return start, start + 1, … of each range, end to end."""
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return np.repeat(starts - before, lengths) + np.arange(int(lengths.sum()))


def _ends(lengths: np.ndarray) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
