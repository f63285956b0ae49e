"""Generated ids against transformers' `generate`, full recomputation, and search spelled out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from finetune.data.encode import Encoded
from finetune.data.packing import Batch
from finetune.data.prefixes import Asked
from finetune.engine.loss import micro_batch_loss
from finetune.evaluate.decoding_rules import DecodingRules
from finetune.evaluate.generate import BatchGenerator, generate
from finetune.model.forward import all_states, target_states, vocabulary_logits
from finetune.types import Example, Sample, TokenizedExample

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
    weights = torch.ones(batch.num_examples)
    _, sums = micro_batch_loss(model, target_states(model, batch), batch, weights, vocabulary_size=vocabulary_size)
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


def asked(prefixes: Sequence[TokenizedExample]) -> list[Asked]:
    return [
        Asked(
            index=index,
            encoded=Encoded(
                sample=Sample(sample_id=one.sample_id, origin="test", images=()),
                example=Example(sample_id=one.sample_id, images=(), prefix="", suffix=""),
                tokenized=one,
                pixels_u8=torch.zeros(0, 3, 28, 28, dtype=torch.uint8),
                image_keys=(one.sample_id,),
            ),
        )
        for index, one in enumerate(prefixes)
    ]


def generator(
    model: nn.Module, batch_of: Callable[..., Batch], *, batch_size: int, num_beams: int = 1, **how: Any
) -> BatchGenerator:
    return BatchGenerator(
        model=model,
        rules=DecodingRules(max_new_tokens=12, num_beams=num_beams, eos_id=EOS, vocabulary_size=VOCABULARY_SIZE),
        pack=lambda group: batch_of([one.encoded.tokenized for one in group]),
        batch_size=batch_size,
        device=torch.device("cpu"),
        **how,
    )


@pytest.fixture
def many(random_examples: Callable[..., list[TokenizedExample]]) -> list[TokenizedExample]:
    return [without_suffix(example) for example in random_examples(23)]


@pytest.mark.parametrize("batch_size", [3, 8, 32])
@pytest.mark.parametrize("num_beams", [1, 2])
def test_many_samples_are_told_the_same_at_once_as_one_by_one(
    model: nn.Module,
    many: list[TokenizedExample],
    batch_of: Callable[..., Batch],
    batch_size: int,
    num_beams: int,
) -> None:
    (lift_eos if num_beams == 1 else sharpen)(model)
    one_by_one = generator(model, batch_of, batch_size=1, num_beams=num_beams).generate(iter(asked(many)))
    expected = {one.index: ids for one, ids in one_by_one}
    together = list(generator(model, batch_of, batch_size=batch_size, num_beams=num_beams).generate(iter(asked(many))))
    assert sorted(one.index for one, _ in together) == list(range(23))
    assert {one.index: ids for one, ids in together} == expected
    assert len({len(ids) for ids in expected.values()}) > 2


def test_the_place_of_a_finished_sample_is_handed_on_at_once(
    model: nn.Module, many: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    lift_eos(model)
    num_scored: list[int] = []
    model.lm_head.register_forward_hook(lambda module, inputs, output: num_scored.append(len(inputs[0])))
    said = [ids for _, ids in generator(model, batch_of, batch_size=4).generate(iter(asked(many)))]
    # Each row that was computed said an id or EOS: none ran on after its end, and none waited for a neighbour.
    assert sum(num_scored) == sum(len(ids) + (len(ids) < 12) for ids in said)
    assert max(num_scored) == 4


def test_samples_come_back_before_all_are_read(
    model: nn.Module, many: list[TokenizedExample], batch_of: Callable[..., Batch]
) -> None:
    taken: list[int] = []

    def source() -> Iterator[Asked]:
        for one in asked(many):
            taken.append(one.index)
            yield one

    next(generator(model, batch_of, batch_size=2).generate(source()))
    assert len(taken) <= 16


@pytest.mark.parametrize("num_beams", [1, 2])
def test_nothing_is_yielded_inside_of_the_runs_autocast_and_nothing_computed_outside(
    model: nn.Module, many: list[TokenizedExample], batch_of: Callable[..., Batch], num_beams: int
) -> None:
    depth, seen = 0, []

    @contextmanager
    def computing() -> Iterator[None]:
        nonlocal depth
        depth += 1
        yield
        depth -= 1

    model.lm_head.register_forward_hook(lambda *_: seen.append((depth, torch.is_grad_enabled())))
    running = generator(model, batch_of, batch_size=5, num_beams=num_beams, computing=computing)
    for _ in running.generate(iter(asked(many))):
        assert depth == 0
        assert torch.is_grad_enabled()
    assert set(seen) == {(1, False)}


def test_no_samples_are_told_nothing(model: nn.Module, batch_of: Callable[..., Batch]) -> None:
    assert list(generator(model, batch_of, batch_size=4).generate(iter([]))) == []


def test_prefixes_of_one_group_hold_no_more_tokens_than_are_read_at_once(
    model: nn.Module,
    many: list[TokenizedExample],
    batch_of: Callable[..., Batch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = {one.index: ids for one, ids in generator(model, batch_of, batch_size=16).generate(iter(asked(many)))}
    monkeypatch.setattr("finetune.evaluate.generate._TOKENS_AT_ONCE", 30)
    sizes: list[int] = []
    model.model.language_model.layers[0].self_attn.q_proj.register_forward_hook(
        lambda module, inputs, output: sizes.append(inputs[0].shape[0] * inputs[0].shape[1])
    )
    found = {one.index: ids for one, ids in generator(model, batch_of, batch_size=16).generate(iter(asked(many)))}
    assert found == expected
    assert max(sizes) <= 30
