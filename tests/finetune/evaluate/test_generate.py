"""Generated ids against transformers' `generate`, full recomputation, and search spelled out."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from finetune.data.packing import Batch
from finetune.engine.loss import per_example_loss_sums
from finetune.evaluate.generate import generate
from finetune.model.forward import all_states, target_states, vocabulary_logits
from finetune.types import TokenizedExample

EOS, VOCABULARY_SIZE = 1, 40


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def model(request: pytest.FixtureRequest, small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    return small_paligemma(request.param)


@pytest.fixture
def prefixes(random_examples: Callable[..., list[TokenizedExample]]) -> list[TokenizedExample]:
    return [without_suffix(example) for example in random_examples(9)]


def without_suffix(example: TokenizedExample) -> TokenizedExample:
    return with_suffix(example, [])


def with_suffix(example: TokenizedExample, suffix: list[int]) -> TokenizedExample:
    shown = example.input_ids[~example.is_suffix]
    is_suffix = np.arange(len(shown) + len(suffix)) >= len(shown)
    return replace(example, input_ids=np.array([*shown, *suffix], dtype=np.int64), is_suffix=is_suffix)


def lift_eos(model: nn.Module) -> None:
    """Make EOS an extreme choice, often the best one, so that rows finish at different steps."""
    model.get_input_embeddings().weight.data[EOS] *= 2


def sharpen(model: nn.Module) -> None:
    """Make the model sure of what it says, or beam search would always end at once."""
    weight = model.model.language_model.norm.weight.data
    weight.add_(1).mul_(3).sub_(1)


@torch.no_grad()
def recomputed(model: nn.Module, prefix: TokenizedExample, batch_of: Callable[..., Batch], limit: int) -> list[int]:
    """Decode greedily without a cache: the whole sequence again for every token."""
    ids: list[int] = []
    while len(ids) < limit:
        states = all_states(model, batch_of([prefix]) if not ids else continued(prefix, ids, batch_of))
        new_id = int(vocabulary_logits(model, states[0, -1], VOCABULARY_SIZE).argmax())
        if new_id == EOS:
            break
        ids.append(new_id)
    return ids


def continued(prefix: TokenizedExample, ids: list[int], batch_of: Callable[..., Batch]) -> Batch:
    """Return the batch of a continued prefix; its image stays that of the prefix."""
    return replace(batch_of([with_suffix(prefix, ids)]), pixels=batch_of([prefix]).pixels)


@pytest.mark.parametrize("max_new_tokens", [1, 12])
def test_greedy_ids_equal_full_recomputation_in_a_batch_of_unequal_prefixes(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch], max_new_tokens: int
) -> None:
    lift_eos(model)
    found = generate(
        model,
        batch_of(prefixes),
        max_new_tokens=max_new_tokens,
        num_beams=1,
        eos_id=EOS,
        vocabulary_size=VOCABULARY_SIZE,
    )
    assert found == [recomputed(model, prefix, batch_of, max_new_tokens) for prefix in prefixes]
    lengths = {len(ids) for ids in found}
    assert max_new_tokens == 1 or (len(lengths) > 1 and min(lengths) < max_new_tokens)


def test_greedy_ids_equal_those_of_transformers(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    lift_eos(model)
    found = generate(
        model, batch_of(prefixes), max_new_tokens=12, num_beams=1, eos_id=EOS, vocabulary_size=VOCABULARY_SIZE
    )
    for prefix, ids in zip(prefixes, found, strict=True):
        batch = batch_of([prefix])
        output = model.generate(
            input_ids=batch.input_ids,
            pixel_values=batch.pixels / 127.5 - 1,
            attention_mask=torch.ones_like(batch.input_ids),
            token_type_ids=torch.zeros_like(batch.input_ids),
            max_new_tokens=12,
            do_sample=False,
            suppress_tokens=list(range(VOCABULARY_SIZE, 44)),
        )
        expected = output[0, len(prefix.input_ids) :].tolist()
        assert ids == expected[: expected.index(EOS)] if EOS in expected else expected


@pytest.mark.parametrize("num_beams", [1, 3])
def test_ids_outside_the_vocabulary_are_never_produced(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch], num_beams: int
) -> None:
    found = generate(model, batch_of(prefixes), max_new_tokens=12, num_beams=num_beams, eos_id=EOS, vocabulary_size=10)
    assert all(new_id < 10 for ids in found for new_id in ids)


@torch.no_grad()
def log_probs_of(
    model: nn.Module,
    prefix: TokenizedExample,
    suffixes: list[list[int]],
    batch_of: Callable[..., Batch],
    vocabulary_size: int,
) -> list[float]:
    """Score suffixes through the training loss."""
    examples = [with_suffix(prefix, suffix) for suffix in suffixes]
    batch = replace(batch_of(examples), pixels=batch_of([prefix] * len(suffixes)).pixels)
    sums = per_example_loss_sums(model, target_states(model, batch), batch, vocabulary_size=vocabulary_size)
    return (-sums).tolist()


def test_a_wide_beam_finds_the_likeliest_of_all_sequences(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    vocabulary_size = 7
    words = [new_id for new_id in range(vocabulary_size) if new_id != EOS]
    sequences = [list(ids) for length in range(3) for ids in product(words, repeat=length)]
    found = generate(
        model, batch_of(prefixes), max_new_tokens=3, num_beams=36, eos_id=EOS, vocabulary_size=vocabulary_size
    )
    for prefix, ids in zip(prefixes, found, strict=True):
        scores = log_probs_of(model, prefix, [[*ids, EOS] for ids in sequences], batch_of, vocabulary_size)
        assert ids == sequences[int(np.argmax(scores))]
    assert len({len(ids) for ids in found}) > 1


def spelled_out_beam_search(
    model: nn.Module, prefix: TokenizedExample, batch_of: Callable[..., Batch], num_beams: int, limit: int
) -> list[int]:
    """Search with lists, scoring every candidate from scratch."""
    live, best, best_score = [[]], [], -np.inf
    words = [new_id for new_id in range(VOCABULARY_SIZE) if new_id != EOS]
    for _ in range(limit):
        for ids, score in zip(
            live, log_probs_of(model, prefix, [[*ids, EOS] for ids in live], batch_of, VOCABULARY_SIZE), strict=True
        ):
            if score > best_score:
                best, best_score = ids, score
        candidates = [[*ids, word] for ids in live for word in words]
        scores = log_probs_of(model, prefix, candidates, batch_of, VOCABULARY_SIZE)
        order = np.argsort(scores)[::-1][:num_beams]
        live = [candidates[index] for index in order]
        if scores[order[0]] < best_score:
            break
    return best


@pytest.mark.parametrize("num_beams", [2, 4])
def test_beam_search_equals_the_search_spelled_out(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch], num_beams: int
) -> None:
    sharpen(model)
    found = generate(
        model, batch_of(prefixes), max_new_tokens=6, num_beams=num_beams, eos_id=EOS, vocabulary_size=VOCABULARY_SIZE
    )
    assert found == [spelled_out_beam_search(model, prefix, batch_of, num_beams, 6) for prefix in prefixes]
    assert len({len(ids) for ids in found}) > 1


def test_generating_leaves_dropout_and_gradients_as_they_were(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    model.train()
    model.model.vision_tower.eval()
    before = [module.training for module in model.modules()]
    generate(model, batch_of(prefixes), max_new_tokens=2, num_beams=2, eos_id=EOS, vocabulary_size=VOCABULARY_SIZE)
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled()


def test_packed_prefixes_are_refused(
    model: nn.Module, prefixes: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    with pytest.raises(ValueError, match="one a row"):
        generate(model, batch_of(prefixes, 64), max_new_tokens=2, num_beams=1, eos_id=EOS, vocabulary_size=40)
