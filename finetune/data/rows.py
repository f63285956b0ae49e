"""Which examples stand in which row, and which of them follow one prefix.

A group is the examples that continue one prefix: `(0,)`, or `(0, 3)` where examples 0 and 3 have equal images and the
same prefix. A row holds whole groups.
"""

from collections.abc import Sequence

from finetune.types import TokenizedExample

Group = tuple[int, ...]
Row = list[Group]


def make_rows(examples: Sequence[TokenizedExample], row_tokens: int | None) -> list[Row]:
    """Put each example behind a prefix of its own.

    Args:
        row_tokens: None: one example a row. A number: first-fit, in the given order, into rows of so many tokens.

    Raises:
        ValueError: If an example is longer than a row, by name.
    """
    return _first_fit([(member,) for member in range(len(examples))], examples, row_tokens)


def make_shared_rows(
    examples: Sequence[TokenizedExample], images: Sequence[Sequence[int]], row_tokens: int | None
) -> list[Row]:
    """Put examples of equal images and prefix behind one prefix, unless that makes the batch no smaller.

    Args:
        images: What each example shows; equal numbers are equal images.
        row_tokens: As `make_rows` takes it.

    Raises:
        ValueError: As `make_rows`.
    """
    alone = make_rows(examples, row_tokens)
    shared = _first_fit(_groups(examples, images, row_tokens), examples, row_tokens)
    return min(alone, shared, key=lambda rows: len(rows) * width_of(rows, examples, row_tokens))


def width_of(rows: Sequence[Row], examples: Sequence[TokenizedExample], row_tokens: int | None) -> int:
    """Return how many columns rows have: as many as were asked for, or as the longest one takes."""
    return row_tokens or max(sum(_num_tokens(group, examples) for group in row) for row in rows)


def num_prefix_tokens(example: TokenizedExample) -> int:
    """Return how many tokens stand before the suffix, images included."""
    return len(example.input_ids) - example.num_targets


def _groups(
    examples: Sequence[TokenizedExample], images: Sequence[Sequence[int]], row_tokens: int | None
) -> list[Group]:
    """Find examples with equal images and prefix, as many together as a row holds, in order of their first ones."""
    groups: list[list[int]] = []
    open_groups: dict[tuple[tuple[int, ...], bytes], list[int]] = {}
    for member, (example, shown) in enumerate(zip(examples, images, strict=True)):
        key = (tuple(shown), example.input_ids[: num_prefix_tokens(example)].tobytes())
        group = open_groups.get(key)
        if group is None or _num_tokens((*group, member), examples) > (row_tokens or float("inf")):
            group = open_groups[key] = []
            groups.append(group)
        group.append(member)
    return [tuple(group) for group in groups]


def _num_tokens(group: Group, examples: Sequence[TokenizedExample]) -> int:
    return num_prefix_tokens(examples[group[0]]) + sum(examples[member].num_targets for member in group)


def _first_fit(groups: Sequence[Group], examples: Sequence[TokenizedExample], row_tokens: int | None) -> list[Row]:
    if row_tokens is None:
        return [[group] for group in groups]
    rows: list[Row] = []
    free: list[int] = []
    for group in groups:
        length = _num_tokens(group, examples)
        if length > row_tokens:
            raise ValueError(
                f"data.row_tokens={row_tokens} is shorter than sample {examples[group[0]].sample_id} with {length} "
                "tokens"
            )
        row = next((index for index, room in enumerate(free) if room >= length), None)
        if row is None:
            rows.append([])
            free.append(row_tokens)
            row = len(rows) - 1
        rows[row].append(group)
        free[row] -= length
    return rows
