from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from finetune.data.packing import Batch
from finetune.model.decoding import KeyValueCache, evaluating, extend, read_prefixes
from finetune.model.forward import all_states
from finetune.types import TokenizedExample


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def model(request: pytest.FixtureRequest, small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    return small_paligemma(request.param)


@pytest.fixture
def examples(random_examples: Callable[..., list[TokenizedExample]]) -> list[TokenizedExample]:
    return random_examples(5)


def prefixes_of(batch_of: Callable[..., Batch], examples: list[TokenizedExample]) -> Batch:
    """Cut the suffixes off; images stay those of the whole examples."""
    shown = [
        replace(one, input_ids=one.input_ids[~one.is_suffix], is_suffix=one.is_suffix[~one.is_suffix])
        for one in examples
    ]
    return replace(batch_of(shown), pixels=batch_of(examples).pixels)


@torch.no_grad()
def test_states_one_token_at_a_time_equal_those_of_the_whole_sequence(
    model: nn.Module, examples: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    batch = batch_of(examples)
    whole = all_states(model, batch)
    states, cache = read_prefixes(model, prefixes_of(batch_of, examples), max_new_tokens=2)
    for num_read in range(2):
        columns = (~batch.is_suffix & (batch.example_ids >= 0)).sum(1) + num_read
        expected = whole[torch.arange(5), columns - 1]
        torch.testing.assert_close(states, expected, atol=1e-5, rtol=0)
        states = extend(model, cache, batch.input_ids[torch.arange(5), columns])


@torch.no_grad()
def test_selected_rows_continue_as_they_would_have(
    model: nn.Module, examples: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    _, cache = read_prefixes(model, prefixes_of(batch_of, examples), max_new_tokens=2)
    rows, ids = torch.tensor([3, 0, 0]), torch.tensor([7, 8, 9, 10, 11])
    chosen: KeyValueCache = cache.select(rows)
    for _ in range(2):
        all_rows = extend(model, cache, ids)
        torch.testing.assert_close(extend(model, chosen, ids[rows]), all_rows[rows], atol=1e-5, rtol=0)


def test_prefixes_with_a_suffix_are_refused(
    model: nn.Module, examples: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    with pytest.raises(ValueError, match="without a suffix"):
        read_prefixes(model, batch_of(examples), max_new_tokens=1)


def test_evaluating_gives_each_module_its_mode_back_even_after_an_error() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Dropout())
    model[0].eval()

    def fail() -> None:
        with evaluating(model):
            assert not any(module.training for module in model.modules())
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [module.training for module in model.modules()] == [True, False, True]
