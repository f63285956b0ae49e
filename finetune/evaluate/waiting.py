"""Samples on their way into the model, looked ahead at and sorted so that like is computed with like."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, groupby, islice

from finetune.data.prefixes import Asked


class Waiting:
    """A line of samples.

    Args:
        asked: The samples, in any order.
        num_ahead: How many of them are sorted at a time. All of these are taken before the next ones are looked at, so
            that none waits for ever and what is said can be written in order.
    """

    def __init__(self, asked: Iterator[Asked], num_ahead: int) -> None:
        self._asked = asked
        self._num_ahead = num_ahead
        self._sorted: list[Asked] = []
        self._look_ahead()

    def __len__(self) -> int:
        """Return how many samples wait, of those looked at; 0 if there are no more at all."""
        return len(self._sorted)

    def take(self, num_free: int, most_tokens: int) -> list[list[Asked]]:
        """Return at most `num_free` samples, in groups to read at once.

        Args:
            most_tokens: Rows times columns of a group that has more than one sample.
        """
        groups: list[list[Asked]] = []
        while num_free and self._sorted:
            together = _num_fitting(self._sorted[:num_free], most_tokens)
            group, self._sorted = self._sorted[:together], self._sorted[together:]
            groups.append(group)
            num_free -= len(group)
            if not self._sorted:
                self._look_ahead()
        return groups

    def _look_ahead(self) -> None:
        self._sorted = longest_first(islice(self._asked, self._num_ahead))


def _num_fitting(asked: Sequence[Asked], most_tokens: int) -> int:
    """Return how many of the first samples make a group: at least one."""
    widths = accumulate((one.num_tokens for one in asked), max)
    return max(1, sum(rows * width <= most_tokens for rows, width in enumerate(widths, start=1)))


def longest_first(asked: Iterator[Asked]) -> list[Asked]:
    """Sort by the length of the prefix, then by how much is expected to be said; neighbours about one image stay so.

    The longest ones come first, so that memory that does not suffice is found out at once.
    """
    about_one_image = [list(group) for _, group in groupby(asked, key=lambda one: one.encoded.image_keys)]
    ordered = sorted(about_one_image, key=lambda group: max(map(_lengths_of, group)), reverse=True)
    return list(chain.from_iterable(ordered))


def _lengths_of(asked: Asked) -> tuple[int, int]:
    return asked.num_tokens, asked.expected_characters
