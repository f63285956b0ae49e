"""Greedy decoding in rows that are handed on: a finished row's place goes to the next prefix."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.evaluate.decoding_rules import DecodingRules, worth_handing_on
from finetune.evaluate.look_behind import LookBehind
from finetune.model.decoding import KeyValueCache, empty_cache, extend, read_into, rounded_columns
from finetune.model.forward import vocabulary_logits

KeyT = TypeVar("KeyT")


@dataclass(slots=True, eq=False)
class _Said(Generic[KeyT]):
    """What was said to one prefix so far."""

    key: KeyT
    ids: list[int] = field(default_factory=list)
    is_done: bool = False


class GreedyRows(Generic[KeyT]):
    """Up to `num_rows` prefixes on their way through the model, each by a key of the caller's.

    Rows that are free are computed along with the others until they are admitted to or dropped: shapes stay the same,
    and nothing is copied each time that one is done.
    """

    def __init__(
        self,
        model: nn.Module,
        rules: DecodingRules,
        *,
        num_rows: int,
        device: torch.device,
        is_late: bool | None = None,
    ) -> None:
        """Begin with free rows.

        Args:
            is_late: As for `LookBehind`: it says when ids are read, not which. None: what suits the device.
        """
        self._model = model
        self._rules = rules
        self._device = device
        self._rows: list[_Said[KeyT] | None] = [None] * num_rows
        self._cache: KeyValueCache | None = None
        self._ids = torch.zeros(num_rows, dtype=torch.int64, device=device)
        self._on_their_way: LookBehind[_Said[KeyT] | None] = LookBehind(
            is_late=device.type != "cpu" if is_late is None else is_late
        )
        self._finished: list[tuple[KeyT, list[int]]] = []

    @property
    def num_rows(self) -> int:
        """Rows that are computed."""
        return len(self._rows)

    @property
    def num_free(self) -> int:
        """How many prefixes can be admitted."""
        return self._rows.count(None)

    @property
    def is_busy(self) -> bool:
        """Whether there is something to run."""
        return self.num_free < self.num_rows

    @torch.no_grad()
    def admit(self, batch: Batch, keys: Sequence[KeyT]) -> None:
        """Read prefixes, at most `num_free`, into free rows.

        Args:
            batch: One prefix a row, padded on the right, without suffix; on the host or on the device.

        Raises:
            ValueError: If prefixes are packed or carry a suffix.
        """
        free = [row for row, said in enumerate(self._rows) if said is None][: len(keys)]
        states = read_into(self._model, batch, self._room_for(batch.input_ids.shape[1]), free)
        ids = self._likeliest(states)
        self._ids.index_copy_(0, torch.tensor(free, device=self._device), ids)
        newcomers = [_Said(key) for key in keys]
        for row, said in zip(free, newcomers, strict=True):
            self._rows[row] = said
        self._hear(newcomers, ids)

    @torch.no_grad()
    def run(self) -> list[tuple[KeyT, list[int]]]:
        """Go on until enough rows are free to do something about it, or all of them.

        Returns:
            What was finished since the last time: each key with its ids, without EOS.
        """
        assert self._cache is not None, "nothing was admitted"
        while self.is_busy and self.num_free < worth_handing_on(self.num_rows):
            self._ids = self._likeliest(extend(self._model, self._cache, self._ids))
            self._hear(list(self._rows), self._ids)
        finished, self._finished = self._finished, []
        return finished

    def drop_free(self) -> None:
        """Compute free rows no longer: for the end, when nobody waits for them."""
        assert self._cache is not None, "nothing was admitted"
        kept = [row for row, said in enumerate(self._rows) if said is not None]
        self._cache = self._cache.select(kept)
        self._ids = self._ids.index_select(0, torch.tensor(kept, dtype=torch.int64, device=self._device))
        self._rows = [self._rows[row] for row in kept]

    def _room_for(self, num_prefix_tokens: int) -> KeyValueCache:
        num_columns = num_prefix_tokens + self._rules.max_new_tokens
        if self._cache is None:
            self._cache = empty_cache(self.num_rows, num_columns, self._device)
        self._cache.grow(rounded_columns(num_columns))
        return self._cache

    def _likeliest(self, states: Tensor) -> Tensor:
        return vocabulary_logits(self._model, states, self._rules.vocabulary_size).argmax(dim=-1)

    def _hear(self, rows: Sequence[_Said[KeyT] | None], ids: Tensor) -> None:
        """Send the rows' new ids to this process, and take what has arrived; what comes after the end is ignored."""
        self._on_their_way.post(rows, ids)
        for said, new_id in self._on_their_way.arrived():
            if said is not None and not said.is_done:
                self._take(said, new_id)

    def _take(self, said: _Said[KeyT], new_id: int) -> None:
        if new_id != self._rules.eos_id:
            said.ids.append(new_id)
            if len(said.ids) < self._rules.max_new_tokens:
                return
        said.is_done = True
        row = self._rows.index(said)
        self._rows[row] = None
        if self._cache is not None:
            self._cache.free(row)
        self._finished.append((said.key, said.ids))
