import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from finetune.data.packing import Batch
from finetune.model.decoding import KeyValueCache, empty_cache, evaluating, extend, read_into, read_prefixes
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
    rows, ids = [3, 0, 0], torch.tensor([7, 8, 9, 10, 11])
    chosen: KeyValueCache = cache.select(rows)
    for _ in range(2):
        all_rows = extend(model, cache, ids)
        torch.testing.assert_close(extend(model, chosen, ids[rows]), all_rows[rows], atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_row_is_given_to_another_prefix_while_its_neighbours_go_on(
    model: nn.Module, examples: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    alone = [read_prefixes(model, prefixes_of(batch_of, [one]), max_new_tokens=4)[1] for one in examples]
    ids = torch.tensor([7, 8, 9, 10, 11])
    cache = empty_cache(3, 1, ids.device)
    cache.grow(100)
    read_into(model, prefixes_of(batch_of, examples[:3]), cache, [2, 0, 1])
    places = {2: 0, 0: 1, 1: 2}
    for step in range(4):
        if step == 2:
            cache.free(0)
            read_into(model, prefixes_of(batch_of, examples[4:]), cache, [0])
            places[0] = 4
        states = extend(model, cache, torch.stack([ids[places[row]] for row in range(3)]))
        for row, place in places.items():
            expected = extend(model, alone[place], ids[place, None])
            torch.testing.assert_close(states[row], expected[0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_rows_that_began_alike_can_go_on_from_each_other(
    model: nn.Module, examples: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    _, cache = read_prefixes(model, prefixes_of(batch_of, examples[:2]), max_new_tokens=3)
    first_column = min(cache.num_read)
    cache = cache.select([0, 0, 1, 1])
    extend(model, cache, torch.tensor([5, 6, 7, 8]))
    swapped = cache.select([1, 1, 3, 2])
    cache.reorder(torch.tensor([1, 1, 3, 2]), first_column)
    ids = torch.tensor([9, 10, 11, 12])
    torch.testing.assert_close(extend(model, cache, ids), extend(model, swapped, ids))


class Made(TorchDispatchMode):
    """Remembers the shapes of all tensors that operations make; what lies in the cache's own memory is not made."""

    def __init__(self, cache: KeyValueCache) -> None:
        super().__init__()
        self.owned = {tensor.untyped_storage().data_ptr() for tensor in (*cache.keys, *cache.values)}
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.owned:
                self.shapes.append(tuple(tensor.shape))
        return result


@torch.no_grad()
def test_a_step_has_the_shapes_of_the_step_before_and_copies_neither_keys_nor_values(
    model: nn.Module, examples: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    _, cache = read_prefixes(model, prefixes_of(batch_of, examples), max_new_tokens=8)
    ids = torch.tensor([7, 8, 9, 10, 11])
    steps = []
    for _ in range(3):
        with Made(cache) as made:
            extend(model, cache, ids)
        steps.append(made.shapes)
    assert steps[0] == steps[1] == steps[2]
    num_read = cache.keys[0][:, :, : cache.num_columns].numel()
    assert max(math.prod(shape) for shape in steps[0]) < num_read
    assert cache.num_columns == cache.capacity == 64


def test_a_full_cache_is_not_extended(
    model: nn.Module, examples: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    _, cache = read_prefixes(model, prefixes_of(batch_of, examples), max_new_tokens=1)
    for _ in range(cache.capacity - max(cache.num_read)):
        extend(model, cache, torch.full((5,), 7))
    with pytest.raises(AssertionError, match="full"):
        extend(model, cache, torch.full((5,), 7))


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
