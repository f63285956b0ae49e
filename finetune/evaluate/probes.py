"""The measurements of the self-test: change what must not matter, or what must, and see how far outputs move."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from finetune.data.packing import Batch, pack
from finetune.model.decoding import extend, read_prefixes
from finetune.model.forward import vocabulary_logits
from finetune.types import TokenizedExample

Forward = Callable[[nn.Module, Batch], Tensor]
"""Model and batch -> states [rows, tokens, hidden] after the final norm."""

_MAX_STEPS = 16
_NUM_PADDING = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An example with its images."""

    example: TokenizedExample
    pixels: UInt8[Tensor, "images 3 height width"]

    def with_ids(self, ids: np.ndarray) -> "Shown":
        """Return it with other ids in the same places."""
        return replace(self, example=replace(self.example, input_ids=ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A forward under test, and the two examples that it is tested on.

    Args:
        example: The one whose outputs are watched.
        neighbour: The one packed next to it; may be the same.
    """

    model: nn.Module
    forward: Forward
    image_token_id: int
    vocabulary_size: int
    example: Shown
    neighbour: Shown

    def batch(self, *shown: Shown, row_tokens: int | None = None) -> Batch:
        """Pack examples on the model's device."""
        packed = pack(
            [one.example for one in shown],
            torch.cat([one.pixels for one in shown]),
            image_token_id=self.image_token_id,
            row_tokens=row_tokens,
        )
        return packed.to(next(self.model.parameters()).device)

    def states(self, batch: Batch) -> Float[Tensor, "tokens hidden"]:
        """Return the states of the batch's first example."""
        return self.forward(self.model, batch)[batch.example_ids == 0]

    def logits(self, batch: Batch) -> Float[Tensor, "targets vocabulary"]:
        """Return the scores that predict the targets of the batch's first example."""
        states = self.states(batch)[torch.from_numpy(self.example.example.is_suffix).roll(-1)]
        return vocabulary_logits(self.model, states, self.vocabulary_size)

    def other_ids(self, shown: Shown, where: Bool[np.ndarray, " tokens"]) -> Shown:
        """Return an example with another id of the vocabulary at each given place."""
        ids = shown.example.input_ids
        return shown.with_ids(np.where(where, (ids + 1) % self.vocabulary_size, ids))


def suffix_leak(probe: Probe) -> float:
    """Change the last suffix token; return by how much any score that predicts the suffix moved."""
    last = np.arange(len(probe.example.example.input_ids)) == len(probe.example.example.input_ids) - 1
    changed = probe.other_ids(probe.example, last)
    return _difference(probe.logits(probe.batch(probe.example)), probe.logits(probe.batch(changed)))


def prefix_reach(probe: Probe) -> float:
    """Change the last prefix token; return by how much the state of the first position moved."""
    example = probe.example.example
    last_of_prefix = np.arange(len(example.input_ids)) == int(np.argmax(example.is_suffix)) - 1
    changed = probe.other_ids(probe.example, last_of_prefix)
    return _difference(probe.states(probe.batch(probe.example))[0], probe.states(probe.batch(changed))[0])


def padding_leak(probe: Probe) -> float:
    """Change what lies under the padding; return by how much any state moved."""
    row_tokens = len(probe.example.example.input_ids) + _NUM_PADDING
    batch = probe.batch(probe.example, row_tokens=row_tokens)
    padding = batch.example_ids < 0
    changed = replace(
        batch, input_ids=torch.where(padding, (batch.input_ids + 5) % probe.vocabulary_size, batch.input_ids)
    )
    return _difference(probe.states(batch), probe.states(changed))


def neighbour_leak(probe: Probe) -> float:
    """Change text and images of a neighbour in the row; return by how much any state moved."""
    neighbour = probe.neighbour
    text = neighbour.example.input_ids != probe.image_token_id
    changed = replace(probe.other_ids(neighbour, text), pixels=255 - neighbour.pixels)
    return _difference(
        probe.states(_packed(probe, probe.example, neighbour)), probe.states(_packed(probe, probe.example, changed))
    )


def layout_difference(probe: Probe) -> float:
    """Return the relative difference between states alone in a row, and packed behind a neighbour and padded."""
    alone = probe.states(probe.batch(probe.example))
    batch = _packed(probe, probe.neighbour, probe.example)
    packed = probe.forward(probe.model, batch)[batch.example_ids == 1]
    return _relative_difference(packed, alone)


def generation_difference(probe: Probe) -> float:
    """Return the relative difference between scores of the whole suffix at once and of one token after the other."""
    example = probe.example.example
    at_once = probe.logits(probe.batch(probe.example))[:_MAX_STEPS]
    shown = ~example.is_suffix
    prefix = replace(example, input_ids=example.input_ids[shown], is_suffix=example.is_suffix[shown])
    states, cache = read_prefixes(
        probe.model, probe.batch(replace(probe.example, example=prefix)), max_new_tokens=len(at_once)
    )
    one_by_one = [states]
    for new_id in example.input_ids[example.is_suffix][: len(at_once) - 1]:
        one_by_one.append(extend(probe.model, cache, torch.tensor([new_id], device=states.device)))
    logits = vocabulary_logits(probe.model, torch.cat(one_by_one), probe.vocabulary_size)
    return _relative_difference(at_once, logits)


def _packed(probe: Probe, first: Shown, second: Shown) -> Batch:
    row_tokens = len(first.example.input_ids) + len(second.example.input_ids) + _NUM_PADDING
    return probe.batch(first, second, row_tokens=row_tokens)


def _difference(first: Tensor, second: Tensor) -> float:
    return float((first.float() - second.float()).abs().max())


def _relative_difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference in units of the largest number, or of 1 where all are smaller."""
    return _difference(found, expected) / max(1.0, float(expected.float().abs().max()))
