"""Whole examples side by side in rows: the batch that the model's forward reads.

One packed row of two examples (I image, B BOS, p prefix, n newline, s suffix, E EOS, - padding):

    token        I I B p n s s E I I B p p n s E - -
    example_ids  0 0 0 0 0 0 0 0 1 1 1 1 1 1 1 1 -1 -1
    position_ids 0 1 2 3 4 5 6 7 0 1 2 3 4 5 6 7 0 0
    is_suffix    . . . . . x x x . . . . . . x x . .
    targets              s s E           s E          each predicted one position earlier, from its predictor_rows
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from finetune.types import TokenizedExample


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One forward's worth of examples.

    Args:
        example_ids: Which example a token belongs to (0..num_examples-1); -1 on padding.
        position_ids: Position of the token in its own example, from 0; 0 on padding.
        pixels: Resized images, 0..255; normalised on the device.
        image_rows: Flat positions (row * tokens + column) of all image placeholders, image by image.
        predictor_rows: Flat positions whose hidden states predict the targets.
        targets: The ids to predict, grouped by example, in order.
        target_examples: Which example each target belongs to.
        num_targets: Targets of each example.
        example_weights: 1, or 0 for a stand-in that keeps shapes when a sample was skipped.
        sample_ids: One for each example.
    """

    input_ids: Int64[Tensor, "rows tokens"]
    example_ids: Int64[Tensor, "rows tokens"]
    position_ids: Int64[Tensor, "rows tokens"]
    is_suffix: Bool[Tensor, "rows tokens"]
    pixels: UInt8[Tensor, "images 3 height width"]
    image_rows: Int64[Tensor, " image_tokens"]
    predictor_rows: Int64[Tensor, " targets"]
    targets: Int64[Tensor, " targets"]
    target_examples: Int64[Tensor, " targets"]
    num_targets: Int64[Tensor, " examples"]
    example_weights: Float[Tensor, " examples"]
    sample_ids: tuple[str, ...]

    @property
    def num_examples(self) -> int:
        """Examples in the batch, stand-ins included."""
        return len(self.sample_ids)

    def to(self, device: torch.device) -> "Batch":
        """Return the batch with its tensors on `device`."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        return Batch(**moved, sample_ids=self.sample_ids)


_TENSORS = tuple(name for name in Batch.__dataclass_fields__ if name != "sample_ids")


def pack(
    examples: Sequence[TokenizedExample],
    pixels: UInt8[Tensor, "images 3 height width"],
    *,
    image_token_id: int,
    row_tokens: int | None = None,
    example_weights: Sequence[float] | None = None,
) -> Batch:
    """Lay examples out in rows.

    Args:
        examples: At least one; their images follow one another in `pixels`, in the same order.
        image_token_id: The placeholder's id, to find the image positions.
        row_tokens: None: one example a row, padded to the longest. A number: first-fit packing of whole examples, in
            the given order, into rows of exactly so many tokens.
        example_weights: 1.0 for each example where None.

    Raises:
        ValueError: If an example is longer than `row_tokens`, by name.
    """
    rows = _first_fit([len(example.input_ids) for example in examples], row_tokens, examples)
    width = row_tokens or max(len(example.input_ids) for example in examples)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    owners = np.full((len(rows), width), -1, dtype=np.int64)
    positions = np.zeros((len(rows), width), dtype=np.int64)
    suffix = np.zeros((len(rows), width), dtype=np.bool_)
    starts = np.zeros(len(examples), dtype=np.int64)
    for row, members in enumerate(rows):
        column = 0
        for member in members:
            example = examples[member]
            stop = column + len(example.input_ids)
            ids[row, column:stop] = example.input_ids
            owners[row, column:stop] = member
            positions[row, column:stop] = np.arange(stop - column)
            suffix[row, column:stop] = example.is_suffix
            starts[member] = row * width + column
            column = stop
    image_rows = [
        start + np.flatnonzero(e.input_ids == image_token_id) for start, e in zip(starts, examples, strict=True)
    ]
    target_rows = [start + np.flatnonzero(e.is_suffix) for start, e in zip(starts, examples, strict=True)]
    targets = np.concatenate(target_rows)
    num_targets = [example.num_targets for example in examples]
    return Batch(
        input_ids=torch.from_numpy(ids),
        example_ids=torch.from_numpy(owners),
        position_ids=torch.from_numpy(positions),
        is_suffix=torch.from_numpy(suffix),
        pixels=pixels,
        image_rows=torch.from_numpy(np.concatenate(image_rows)),
        predictor_rows=torch.from_numpy(targets - 1),
        targets=torch.from_numpy(ids.reshape(-1)[targets]),
        target_examples=torch.from_numpy(np.repeat(np.arange(len(examples)), num_targets)),
        num_targets=torch.tensor(num_targets, dtype=torch.int64),
        example_weights=torch.tensor(example_weights or [1.0] * len(examples), dtype=torch.float32),
        sample_ids=tuple(example.sample_id for example in examples),
    )


def _first_fit(lengths: Sequence[int], row_tokens: int | None, examples: Sequence[TokenizedExample]) -> list[list[int]]:
    """Return the members of each row."""
    if row_tokens is None:
        return [[member] for member in range(len(lengths))]
    rows: list[list[int]] = []
    free: list[int] = []
    for member, length in enumerate(lengths):
        if length > row_tokens:
            raise ValueError(
                f"data.row_tokens={row_tokens} is shorter than sample {examples[member].sample_id} with {length} tokens"
            )
        row = next((index for index, room in enumerate(free) if room >= length), None)
        if row is None:
            rows.append([])
            free.append(row_tokens)
            row = len(rows) - 1
        rows[row].append(member)
        free[row] -= length
    return rows
