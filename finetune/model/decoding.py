"""Reading a prefix once and continuing it token by token, over a cache of keys and values."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import pad

from finetune.data.packing import Batch
from finetune.model.attention import prefix_lm_mask
from finetune.model.decoder import language_model, run_decoder
from finetune.model.forward import embed_tokens


@dataclass(slots=True, kw_only=True)
class KeyValueCache:
    """The keys and values of everything read so far, for each layer and row; `extend` writes into it.

    Prefixes are padded on the right, new tokens follow in the same columns for all rows:

        column      0 1 2 3 4 5 6
        row 0       p p p p p a b      next_positions 7
        row 1       p p p - - a b      next_positions 5, columns 3 and 4 are never looked at

    Args:
        keys, values: One [rows, key_heads, capacity, head_dim] per layer.
        may_read: False on a prefix's padding.
        next_positions: Position of the next token in its own example.
        num_columns: Columns in use; the others are free.
    """

    keys: list[Tensor]
    values: list[Tensor]
    may_read: Bool[Tensor, "rows capacity"]
    next_positions: Int64[Tensor, " rows"]
    num_columns: int

    def select(self, rows: Int64[Tensor, " selected"]) -> "KeyValueCache":
        """Return the cache of `rows`, in their order: some dropped, or several copies of one."""
        return KeyValueCache(
            keys=[keys.index_select(0, rows) for keys in self.keys],
            values=[values.index_select(0, rows) for values in self.values],
            may_read=self.may_read.index_select(0, rows),
            next_positions=self.next_positions.index_select(0, rows),
            num_columns=self.num_columns,
        )

    def remember(self, layer_index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write one column of a layer; return all columns up to it."""
        used = self.num_columns + 1
        self.keys[layer_index][:, :, self.num_columns] = key[:, :, 0]
        self.values[layer_index][:, :, self.num_columns] = value[:, :, 0]
        return self.keys[layer_index][:, :, :used], self.values[layer_index][:, :, :used]


@torch.no_grad()
def read_prefixes(
    model: nn.Module, batch: Batch, *, max_new_tokens: int
) -> tuple[Float[Tensor, "rows hidden"], KeyValueCache]:
    """Run prefixes through the model; return each one's last state (after the final norm) and the cache.

    Args:
        batch: One prefix a row, padded on the right, without suffix.
        max_new_tokens: How many calls of `extend` the cache must hold.

    Raises:
        ValueError: If prefixes are packed or carry a suffix.
    """
    if batch.num_examples != len(batch.input_ids) or batch.is_suffix.any():
        raise ValueError("prefixes must come one a row and without a suffix: pack them with row_tokens=None")
    keys: list[Tensor] = []
    values: list[Tensor] = []

    def remember(layer_index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        keys.append(pad(key, (0, 0, 0, max_new_tokens)))
        values.append(pad(value, (0, 0, 0, max_new_tokens)))
        return key, value

    allowed = prefix_lm_mask(batch.example_ids, batch.position_ids, batch.is_suffix)
    states = run_decoder(model, embed_tokens(model, batch), batch.position_ids, allowed, remember=remember)
    is_given = batch.example_ids >= 0
    lengths = is_given.sum(dim=1)
    cache = KeyValueCache(
        keys=keys,
        values=values,
        may_read=pad(is_given, (0, max_new_tokens), value=True),
        next_positions=lengths,
        num_columns=batch.input_ids.shape[1],
    )
    last: Tensor = language_model(model).norm(states[torch.arange(len(lengths), device=states.device), lengths - 1])
    return last, cache


@torch.no_grad()
def extend(model: nn.Module, cache: KeyValueCache, ids: Int64[Tensor, " rows"]) -> Float[Tensor, "rows hidden"]:
    """Read one more token in each row; return the states that predict the next one, after the final norm."""
    decoder = language_model(model)
    allowed = cache.may_read[:, None, : cache.num_columns + 1]
    states = decoder.embed_tokens(ids[:, None])
    states = run_decoder(model, states, cache.next_positions[:, None], allowed, remember=cache.remember)
    cache.num_columns += 1
    cache.next_positions = cache.next_positions + 1
    last: Tensor = decoder.norm(states[:, 0])
    return last


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Switch dropout off, and each module back to what it was afterwards."""
    was_training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in was_training:
            module.training = True
