"""Reading prefixes once and continuing them token by token, over a static cache of keys and values."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import pad

from finetune.data.packing import Batch
from finetune.model.attention import prefix_lm_mask
from finetune.model.decoder import Remember, language_model, run_decoder
from finetune.model.forward import embed_tokens

# Columns are made and read in multiples of this, so that few different shapes occur: what a compiler, an allocator and
# a kernel's choice of tiles want. What it costs is reading 32 masked columns too many on average, of hundreds.
_COLUMNS_TOGETHER = 64


@dataclass(slots=True, kw_only=True)
class KeyValueCache:
    """The keys and values of what each row has read, written in place into tensors that are made once.

    A token's column is its position in its own example, so prefixes of any length stand side by side, and the place of
    a finished row can be given to another prefix while its neighbours go on:

        column      0 1 2 3 4 5 6 7
        row 0       p p p p p a b .     lengths 7
        row 1       p p p a b x x .     lengths 5; x: padding, or left by an earlier example; never looked at

    Args:
        capacity: Columns that there is room for.
        lengths: How many tokens each row has read, which is the column and the position of its next one.
        num_read: The same as far as this process knows without asking the device; 0 where nobody reads the row.
        keys, values: One [rows, key_heads, capacity, head_dim] a layer; empty until the first prefix is read.
    """

    capacity: int
    lengths: Int64[Tensor, " rows"]
    num_read: list[int]
    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def num_columns(self) -> int:
        """How many columns the next step reads."""
        return min(self.capacity, rounded_columns(max(self.num_read) + 1))

    def grow(self, capacity: int) -> None:
        """Make room for so many columns, if there is not."""
        more = capacity - self.capacity
        if more <= 0:
            return
        for remembered in (self.keys, self.values):
            # One by one: two whole caches need not fit beside each other.
            for layer_index, columns in enumerate(remembered):
                remembered[layer_index] = pad(columns, (0, 0, 0, more))
        self.capacity = capacity

    def free(self, row: int) -> None:
        """Say that nobody reads a row any more: its length then keeps no column from being left out."""
        self.num_read[row] = 0

    def select(self, rows: Sequence[int]) -> "KeyValueCache":
        """Return the cache of `rows`, in their order: some dropped, or several copies of one."""
        index = torch.tensor(rows, dtype=torch.int64, device=self.lengths.device)
        return KeyValueCache(
            capacity=self.capacity,
            lengths=self.lengths.index_select(0, index),
            num_read=[self.num_read[row] for row in rows],
            keys=[keys.index_select(0, index) for keys in self.keys],
            values=[values.index_select(0, index) for values in self.values],
        )

    def reorder(self, parents: Int64[Tensor, " rows"], first_column: int) -> None:
        """Let each row go on where another one stands that has read as many tokens, the first of them the same ones.

        Args:
            first_column: Where rows and their parents may begin to differ.
        """
        changed = slice(first_column, max(self.num_read))
        for remembered in (*self.keys, *self.values):
            remembered[:, :, changed] = remembered[:, :, changed].index_select(0, parents)


def rounded_columns(num_columns: int) -> int:
    """Return a number of columns that a cache is made or read with."""
    return -(-num_columns // _COLUMNS_TOGETHER) * _COLUMNS_TOGETHER


def empty_cache(num_rows: int, num_columns: int, device: torch.device) -> KeyValueCache:
    """Return a cache that nothing has been read into."""
    return KeyValueCache(
        capacity=rounded_columns(num_columns),
        lengths=torch.zeros(num_rows, dtype=torch.int64, device=device),
        num_read=[0] * num_rows,
    )


def read_prefixes(
    model: nn.Module, batch: Batch, *, max_new_tokens: int
) -> tuple[Float[Tensor, "rows hidden"], KeyValueCache]:
    """Run prefixes through the model; return each one's last state (after the final norm) and a cache of their own.

    Args:
        batch: One prefix a row, padded on the right, without suffix.
        max_new_tokens: How many calls of `extend` the cache must hold.

    Raises:
        ValueError: If prefixes are packed or carry a suffix.
    """
    num_rows, width = batch.input_ids.shape
    cache = empty_cache(num_rows, width + max_new_tokens, batch.input_ids.device)
    return read_into(model, batch, cache, range(num_rows)), cache


@torch.no_grad()
def read_into(
    model: nn.Module, batch: Batch, cache: KeyValueCache, rows: Sequence[int]
) -> Float[Tensor, "prefixes hidden"]:
    """Run prefixes through the model, into rows of a cache that nobody reads; return each one's last state.

    Args:
        batch: As for `read_prefixes`; best on the host, where its lengths are known without waiting for the device.
        rows: Where each prefix goes.

    Raises:
        ValueError: If prefixes are packed or carry a suffix.
    """
    if batch.num_examples != len(batch.input_ids) or len(batch.targets):
        raise ValueError("prefixes must come one a row and without a suffix: pack them with row_tokens=None")
    num_read = (batch.example_ids >= 0).sum(dim=1).tolist()
    batch = batch.to(cache.lengths.device)
    index, lengths = torch.tensor([list(rows), num_read], device=cache.lengths.device)
    allowed = prefix_lm_mask(batch.example_ids, batch.position_ids, batch.is_suffix)
    states = run_decoder(
        model, embed_tokens(model, batch), batch.position_ids, allowed, remember=_beginning(cache, index)
    )
    cache.lengths.index_copy_(0, index, lengths)
    for row, length in zip(rows, num_read, strict=True):
        cache.num_read[row] = length
    last = states[torch.arange(len(num_read), device=states.device), lengths - 1]
    normalized: Tensor = language_model(model).norm(last)
    return normalized


@torch.no_grad()
def extend(model: nn.Module, cache: KeyValueCache, ids: Int64[Tensor, " rows"]) -> Float[Tensor, "rows hidden"]:
    """Read one more token in each row; return the states that predict the next one, after the final norm.

    Shapes depend on the number of rows and on `num_columns` alone, and nothing is asked of the device.
    """
    assert max(cache.num_read) < cache.capacity, "the cache is full"
    decoder = language_model(model)
    # A row that nobody reads any more may have come to the end.
    columns = cache.lengths.clamp(max=cache.capacity - 1)
    num_columns = cache.num_columns
    allowed = (torch.arange(num_columns, device=columns.device) <= columns[:, None])[:, None]
    remember = _continuing(cache, columns, num_columns)
    states = run_decoder(model, decoder.embed_tokens(ids[:, None]), columns[:, None], allowed, remember=remember)
    cache.lengths += 1
    cache.num_read = [num_read and num_read + 1 for num_read in cache.num_read]
    normalized: Tensor = decoder.norm(states[:, 0])
    return normalized


def _beginning(cache: KeyValueCache, rows: Int64[Tensor, " prefixes"]) -> Remember:
    """Write whole prefixes into rows, and attend to these alone."""

    def remember(layer_index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        for remembered, new in ((cache.keys, key), (cache.values, value)):
            if layer_index == len(remembered):
                num_heads, head_dim = new.shape[1], new.shape[3]
                # Zeros: what is masked gets the weight 0, and 0 times whatever memory held may be NaN.
                remembered.append(new.new_zeros(len(cache.lengths), num_heads, cache.capacity, head_dim))
            remembered[layer_index][:, :, : new.shape[2]].index_copy_(0, rows, new)
        return key, value

    return remember


def _continuing(cache: KeyValueCache, columns: Int64[Tensor, " rows"], num_columns: int) -> Remember:
    """Write one token a row, each into its own column, and attend to all columns up to `num_columns`."""
    num_rows, num_heads = cache.keys[0].shape[:2]
    places = torch.arange(num_rows * num_heads, device=columns.device) * cache.capacity
    places = places + columns.repeat_interleave(num_heads)

    def remember(layer_index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        for remembered, new in ((cache.keys, key), (cache.values, value)):
            remembered[layer_index].view(-1, new.shape[3]).index_copy_(0, places, new.flatten(0, 2))
        return cache.keys[layer_index][:, :, :num_columns], cache.values[layer_index][:, :, :num_columns]

    return remember


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
