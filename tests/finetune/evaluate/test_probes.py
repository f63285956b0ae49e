"""What each probe measures on a forward made for the purpose; on real forwards `test_self_test` uses them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.evaluate.probes import (
    Forward,
    Probe,
    Shown,
    layout_difference,
    neighbour_leak,
    padding_leak,
    prefix_reach,
    suffix_leak,
)
from finetune.types import TokenizedExample


class CopyHead(nn.Module):
    """A model whose logits are its states."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.lm_head = nn.Identity()


def probe(forward: Forward, examples: list[TokenizedExample]) -> Probe:
    first, second = (Shown(example=one, pixels=torch.zeros(1, 3, 28, 28, dtype=torch.uint8)) for one in examples)
    return Probe(
        model=CopyHead(), forward=forward, image_token_id=40, vocabulary_size=40, example=first, neighbour=second
    )


def own_ids(model: nn.Module, batch: Batch) -> Tensor:
    """Each position knows its own id."""
    return batch.input_ids[..., None].float()


def ids_of_the_row(model: nn.Module, batch: Batch) -> Tensor:
    """Each position knows the sum of all ids of its row."""
    return own_ids(model, batch).sum(1, keepdim=True).expand(-1, batch.input_ids.shape[1], -1)


def brightness(model: nn.Module, batch: Batch) -> Tensor:
    """Each position knows the brightness of all images."""
    return torch.zeros_like(own_ids(model, batch)) + batch.pixels.float().mean()


@pytest.fixture
def examples(random_examples: Callable[..., list[TokenizedExample]]) -> list[TokenizedExample]:
    return random_examples(2)


def test_a_forward_without_attention_leaks_nothing_and_reaches_nothing(examples: list[TokenizedExample]) -> None:
    isolated = probe(own_ids, examples)
    measures = (suffix_leak, prefix_reach, padding_leak, neighbour_leak, layout_difference)
    assert [measure(isolated) for measure in measures] == [0, 0, 0, 0, 0]


def test_a_forward_that_sums_its_row_is_seen_by_every_probe(examples: list[TokenizedExample]) -> None:
    open_to_all = probe(ids_of_the_row, examples)
    # One id more at one place; five more at each of eight places of padding.
    assert suffix_leak(open_to_all) == prefix_reach(open_to_all) == 1
    assert padding_leak(open_to_all) == 40
    assert neighbour_leak(open_to_all) > 1
    assert layout_difference(open_to_all) > 0.1


def test_a_neighbours_image_is_changed_too(examples: list[TokenizedExample]) -> None:
    assert neighbour_leak(probe(brightness, examples)) == 127.5
