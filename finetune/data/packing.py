"""Whole examples side by side in rows: the batch that the model's forward reads.

One packed row of two examples (I image, B BOS, p prefix, n newline, s suffix, E EOS, - padding):

    token        I I B p n s s E I I B p p n s E - -
    example_ids  0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 -1 -1
    prefix_ids   0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 -1 -1
    position_ids 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 0
    is_suffix    . . . . . x x x . . . . . . x x . .
    targets              s s E           s E          each predicted one position earlier, from its predictor_rows

Examples 0 and 1 of one image and one question, which then need be read once:

    token        I I B p n s s E s E
    example_ids  0 0 0 0 0 0 0 0 1 1
    prefix_ids   0 0 0 0 0 0 0 0 0 0
    position_ids 0 1 2 3 4 5 6 7 5 6
    is_suffix    . . . . . x x x x x
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from finetune.data.layout import Layout, Place, lay_out
from finetune.data.rows import Group, Row, make_rows, make_shared_rows, num_prefix_tokens, width_of
from finetune.types import TokenizedExample


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One forward's worth of examples.

    Args:
        example_ids: Which example a token belongs to (0..num_examples-1), the first one where several have the same
            prefix; -1 on padding.
        prefix_ids: Whose prefix a token belongs to or continues, by the first example that has it; -1 on padding.
        position_ids: Position of the token in its own example, from 0; 0 on padding.
        pixels: Each different image once, resized, 0..255; normalised on the device. Empty with `image_states`.
        image_states: What a frozen image encoder says of the images, if that was kept; the connector is yet to come.
        shown: Which image each run of placeholders in `image_rows` shows.
        image_rows: Flat positions (row * tokens + column) of all image placeholders, run by run.
        predictor_rows: Flat positions whose hidden states predict the targets.
        targets: The ids to predict, grouped by example, in order.
        target_examples: Which example each target belongs to.
        num_targets: Targets of each example.
        example_weights: 1, or 0 for a stand-in that keeps shapes when a sample was skipped.
        layout: What attention kernels without a mask need.
        sample_ids: One for each example.
    """

    input_ids: Int64[Tensor, "rows tokens"]
    example_ids: Int64[Tensor, "rows tokens"]
    prefix_ids: Int64[Tensor, "rows tokens"]
    position_ids: Int64[Tensor, "rows tokens"]
    is_suffix: Bool[Tensor, "rows tokens"]
    pixels: UInt8[Tensor, "images 3 height width"]
    image_states: Float[Tensor, "states image_tokens channels"] | None
    shown: Int64[Tensor, " shown"]
    image_rows: Int64[Tensor, " placeholders"]
    predictor_rows: Int64[Tensor, " targets"]
    targets: Int64[Tensor, " targets"]
    target_examples: Int64[Tensor, " targets"]
    num_targets: Int64[Tensor, " examples"]
    example_weights: Float[Tensor, " examples"]
    layout: Layout
    sample_ids: tuple[str, ...]

    @property
    def num_examples(self) -> int:
        """Examples in the batch, stand-ins included."""
        return len(self.sample_ids)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch with its tensors on `device`."""
        tensors = {name: getattr(self, name) for name in _MOVED}
        moved = {name: value.to(device, non_blocking=True) for name, value in tensors.items() if value is not None}
        return replace(self, layout=self.layout.to(device), **moved)


_MOVED = tuple(name for name in Batch.__dataclass_fields__ if name not in ("layout", "sample_ids"))


def pack(
    examples: Sequence[TokenizedExample],
    pixels: UInt8[Tensor, "images 3 height width"],
    *,
    image_token_id: int,
    image_states: Float[Tensor, "states image_tokens channels"] | None = None,
    row_tokens: int | None = None,
    example_weights: Sequence[float] | None = None,
    image_keys: Sequence[str] | None = None,
    shares_prefixes: bool = False,
) -> Batch:
    """Lay examples out in rows.

    Args:
        examples: At least one; their images follow one another in `pixels`, in the same order.
        image_token_id: The placeholder's id, to find the image positions.
        image_states: In the place of `pixels`, which are then none.
        row_tokens: None: one example a row, padded to the longest. A number: first-fit packing of whole examples, in
            the given order, into rows of exactly so many tokens.
        example_weights: 1.0 for each example where None.
        image_keys: The content of each image, so that equal ones are kept once; None: all are kept.
        shares_prefixes: Whether examples with equal images and prefix follow one prefix, where that makes the batch
            smaller. Needs `image_keys`.

    Raises:
        ValueError: If an example is longer than `row_tokens`, by name.
    """
    images = pixels if image_states is None else image_states
    kept, shown = _distinct(list(range(len(images))) if image_keys is None else image_keys)
    shown_by_example = _divided(shown, examples)
    rows = (
        make_shared_rows(examples, shown_by_example, row_tokens) if shares_prefixes else make_rows(examples, row_tokens)
    )
    width = width_of(rows, examples, row_tokens)
    groups = [group for row in rows for group in row]
    places = _places(rows, examples)
    tokens = _Tokens.empty(num_rows=len(rows), row_tokens=width)
    for group, place in zip(groups, places, strict=True):
        tokens.write(group, place, examples)
    # Images come in the order of the examples, wherever these stand.
    by_example = sorted(zip(groups, places, strict=True), key=lambda pair: pair[0][0])
    targets = np.concatenate([tokens.targets[member] for member in range(len(examples))])
    num_targets = [example.num_targets for example in examples]
    return Batch(
        input_ids=torch.from_numpy(tokens.ids),
        example_ids=torch.from_numpy(tokens.owners),
        prefix_ids=torch.from_numpy(tokens.prefixes),
        position_ids=torch.from_numpy(tokens.positions),
        is_suffix=torch.from_numpy(tokens.suffix),
        pixels=pixels if image_states is not None or len(kept) == len(images) else pixels[kept],
        image_states=image_states if image_states is None or len(kept) == len(images) else image_states[kept],
        shown=torch.tensor(
            [image for group, _ in by_example for image in shown_by_example[group[0]]], dtype=torch.int64
        ),
        image_rows=torch.from_numpy(_image_rows(by_example, width, examples, image_token_id)),
        predictor_rows=torch.from_numpy(np.concatenate([tokens.predictors[member] for member in range(len(examples))])),
        targets=torch.from_numpy(tokens.ids.reshape(-1)[targets]),
        target_examples=torch.from_numpy(np.repeat(np.arange(len(examples)), num_targets)),
        num_targets=torch.tensor(num_targets, dtype=torch.int64),
        example_weights=torch.tensor(example_weights or [1.0] * len(examples), dtype=torch.float32),
        layout=lay_out(places, num_rows=len(rows), row_tokens=width),
        sample_ids=tuple(example.sample_id for example in examples),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tokens:
    """A batch's rows while they are filled. Of each example, the flat positions of its targets and their predictors."""

    ids: Int64[np.ndarray, "rows tokens"]
    owners: Int64[np.ndarray, "rows tokens"]
    prefixes: Int64[np.ndarray, "rows tokens"]
    positions: Int64[np.ndarray, "rows tokens"]
    suffix: Bool[np.ndarray, "rows tokens"]
    targets: dict[int, np.ndarray]
    predictors: dict[int, np.ndarray]

    @classmethod
    def empty(cls, *, num_rows: int, row_tokens: int) -> "_Tokens":
        """Return rows of padding."""
        shape = (num_rows, row_tokens)
        return cls(
            ids=np.zeros(shape, dtype=np.int64),
            owners=np.full(shape, -1, dtype=np.int64),
            prefixes=np.full(shape, -1, dtype=np.int64),
            positions=np.zeros(shape, dtype=np.int64),
            suffix=np.zeros(shape, dtype=np.bool_),
            targets={},
            predictors={},
        )

    def write(self, group: Group, place: Place, examples: Sequence[TokenizedExample]) -> None:
        """Write a prefix and the suffixes of a group behind it."""
        prefix = place.prefix_tokens
        row_start = place.row * self.ids.shape[1]
        last_of_prefix = place.column + prefix - 1
        self._write_run(place, place.column, examples[group[0]].input_ids[:prefix], owner=group[0], group=group)
        column = place.column + prefix
        for member in group:
            ids = examples[member].input_ids[prefix:]
            columns = self._write_run(place, column, ids, owner=member, group=group, first_position=prefix)
            self.suffix[place.row, columns] = True
            self.targets[member] = row_start + np.arange(columns.start, columns.stop)
            self.predictors[member] = np.concatenate([[row_start + last_of_prefix], self.targets[member]])[: len(ids)]
            column = columns.stop

    def _write_run(
        self, place: Place, column: int, ids: np.ndarray, *, owner: int, group: Group, first_position: int = 0
    ) -> slice:
        columns = slice(column, column + len(ids))
        self.ids[place.row, columns] = ids
        self.owners[place.row, columns] = owner
        self.prefixes[place.row, columns] = group[0]
        self.positions[place.row, columns] = first_position + np.arange(len(ids))
        return columns


def _distinct(keys: Sequence[str | int]) -> tuple[list[int], list[int]]:
    """Return where each different key stands first, and for every key which of the different ones it is."""
    numbers: dict[str | int, int] = {}
    shown = [numbers.setdefault(key, len(numbers)) for key in keys]
    return [shown.index(number) for number in range(len(numbers))], shown


def _divided(shown: Sequence[int], examples: Sequence[TokenizedExample]) -> list[list[int]]:
    """Divide a list of images by example. All images have equally many tokens."""
    num_tokens = [example.num_image_tokens for example in examples]
    of_one = sum(num_tokens) // max(1, len(shown)) or 1
    ends = [0, *accumulate(tokens // of_one for tokens in num_tokens)]
    return [list(shown[start:stop]) for start, stop in pairwise(ends)]


def _places(rows: Sequence[Row], examples: Sequence[TokenizedExample]) -> list[Place]:
    places = []
    for row, groups in enumerate(rows):
        column = 0
        for group in groups:
            place = Place(
                row=row,
                column=column,
                prefix_tokens=num_prefix_tokens(examples[group[0]]),
                suffix_tokens=tuple(examples[member].num_targets for member in group),
            )
            places.append(place)
            column += place.num_tokens
    return places


def _image_rows(
    placed: Sequence[tuple[Group, Place]], width: int, examples: Sequence[TokenizedExample], image_token_id: int
) -> np.ndarray:
    return np.concatenate(
        [
            place.row * width + place.column + np.flatnonzero(examples[group[0]].input_ids == image_token_id)
            for group, place in placed
        ]
    )
