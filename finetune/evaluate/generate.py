"""From prefixes to token ids: greedy decoding, and the original's beam search.

Both take many prefixes at once through a key-value cache and leave finished ones behind. What is said to a prefix does
not depend on its neighbours but for rounding, which decides between ids of the same score: in fp32 no two ids have
that, in bf16 it happens, and another batch size may then say another of them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from finetune.data.packing import Batch
from finetune.data.prefixes import Asked
from finetune.evaluate.beam_search import search
from finetune.evaluate.decoding_rules import DecodingRules
from finetune.evaluate.greedy import GreedyRows
from finetune.evaluate.waiting import Waiting
from finetune.model.decoding import evaluating

# How many batches of samples are looked at to put like with like.
_BATCHES_AHEAD = 4
# Tokens of prefixes that are read at once, padding included: enough for a GPU to be busy, and the memory that reading
# takes does not grow with the size of the images.
_TOKENS_AT_ONCE = 16384


def generate(
    model: nn.Module, batch: Batch, *, max_new_tokens: int, num_beams: int, eos_id: int, vocabulary_size: int
) -> list[list[int]]:
    """Continue each prefix of a batch until EOS; return the new ids without EOS, one list for each row.

    Args:
        batch: One prefix a row, padded on the right, without suffix; on the model's device.
        max_new_tokens: This and the rest as in `DecodingRules`.

    Raises:
        ValueError: If prefixes are packed or carry a suffix.
    """
    rules = DecodingRules(
        max_new_tokens=max_new_tokens, num_beams=num_beams, eos_id=eos_id, vocabulary_size=vocabulary_size
    )
    num_rows, device = len(batch.input_ids), batch.input_ids.device
    with evaluating(model):
        if num_beams > 1:
            return search(model, [batch], rules, device)
        rows = GreedyRows[int](model, rules, num_rows=num_rows, device=device)
        rows.admit(batch, range(num_rows))
        said = dict(rows.run())
        while rows.is_busy:
            rows.drop_free()
            said.update(rows.run())
    return [said[row] for row in range(num_rows)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchGenerator:
    """A model that continues the prefixes of any number of samples, `batch_size` of them at a time.

    Args:
        pack: Lays prefixes out, one a row, on the host.
        batch_size: 1 takes one sample after the other.
        device: The model's.
        computing: Entered to compute, and left whenever something is yielded: the run's autocast.
        weights: Entered once, before the first sample is looked at, by a rank without samples too: where ranks hold a
            share of the weights each, it gathers them. Inside, no rank waits for another, however long answers are.
    """

    model: nn.Module
    rules: DecodingRules
    pack: Callable[[Sequence[Asked]], Batch]
    batch_size: int
    device: torch.device
    computing: Callable[[], AbstractContextManager[None]] = nullcontext
    weights: Callable[[], AbstractContextManager[None]] = nullcontext

    def generate(self, asked: Iterator[Asked]) -> Iterator[tuple[Asked, list[int]]]:
        """Yield each sample with its new ids, without EOS, as soon as it is done; in no particular order.

        Greedy decoding hands the row of a finished sample on to the next one. Beam search takes batch after batch.

        Args:
            asked: Is read some batches ahead.

        Raises:
            ValueError: If `pack` puts several prefixes into a row, or leaves them a suffix.
        """
        with self.weights(), evaluating(self.model):
            waiting = Waiting(asked, _BATCHES_AHEAD * self.batch_size if self.batch_size > 1 else 1)
            yield from self._greedily(waiting) if self.rules.num_beams == 1 else self._with_beams(waiting)

    def _greedily(self, waiting: Waiting) -> Iterator[tuple[Asked, list[int]]]:
        num_rows = min(self.batch_size, len(waiting))
        rows = GreedyRows[Asked](self.model, self.rules, num_rows=num_rows, device=self.device)
        while waiting or rows.is_busy:
            groups = waiting.take(rows.num_free, _TOKENS_AT_ONCE)
            batches = [self.pack(group) for group in groups]
            with self.computing():
                for group, batch in zip(groups, batches, strict=True):
                    rows.admit(batch, group)
                if not waiting and rows.num_free:
                    rows.drop_free()
                finished = rows.run()
            yield from finished

    def _with_beams(self, waiting: Waiting) -> Iterator[tuple[Asked, list[int]]]:
        while waiting:
            groups = waiting.take(self.batch_size, _TOKENS_AT_ONCE)
            batches = [self.pack(group) for group in groups]
            with self.computing():
                found = search(self.model, batches, self.rules, self.device)
            yield from zip([one for group in groups for one in group], found, strict=True)
