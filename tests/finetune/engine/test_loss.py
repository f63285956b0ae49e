"""The loss against its definition, and its indifference to how a window is split."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.engine import linear_cross_entropy
from finetune.engine.loss import example_loss_weights, micro_batch_loss
from finetune.model.forward import target_states
from finetune.settings import Normalization
from finetune.types import TokenizedExample

VOCABULARY_SIZE = 40
MakeExamples = Callable[..., list[TokenizedExample]]
BatchOf = Callable[..., Batch]


@pytest.fixture(scope="module", params=[1, 2], ids=["paligemma1", "paligemma2"])
def model(request: pytest.FixtureRequest, small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    return small_paligemma(request.param)


def weighted_loss(
    model: nn.Module, batch: Batch, weights: Tensor, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    return micro_batch_loss(
        model,
        target_states(model, batch),
        batch,
        weights,
        vocabulary_size=VOCABULARY_SIZE,
        label_smoothing=label_smoothing,
    )


def loss_sums(model: nn.Module, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
    return weighted_loss(model, batch, torch.ones(batch.num_examples), label_smoothing)[1]


@pytest.mark.parametrize("row_tokens", [None, 40])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@torch.no_grad()
def test_loss_sums_equal_the_definition_on_logits_of_transformers(
    model: nn.Module,
    random_examples: MakeExamples,
    batch_of: BatchOf,
    row_tokens: int | None,
    label_smoothing: float,
) -> None:
    examples = random_examples(6)
    expected = []
    for example in examples:
        alone = batch_of([example])
        logits = model(
            input_ids=alone.input_ids,
            pixel_values=alone.pixels / 127.5 - 1,
            token_type_ids=alone.is_suffix.long(),
            attention_mask=torch.ones_like(alone.input_ids),
        ).logits[0, :, :VOCABULARY_SIZE]
        log_probs = logits.double().log_softmax(-1)
        total = 0.0
        for position in example.is_suffix.nonzero()[0]:
            shares = torch.full((VOCABULARY_SIZE,), label_smoothing / (VOCABULARY_SIZE - 1), dtype=torch.float64)
            shares[example.input_ids[position]] = 1 - label_smoothing
            total -= float(shares @ log_probs[position - 1])
        expected.append(total)
    found = loss_sums(model, batch_of(examples, row_tokens), label_smoothing)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-5, atol=0)


def window_gradients(
    model: nn.Module, batches: Sequence[Batch], normalization: Normalization
) -> tuple[float, dict[str, Tensor]]:
    """Accumulate the loss and the gradients of a window given as micro-batches."""
    model.zero_grad()
    num_examples = int(sum(batch.example_weights.sum() for batch in batches))
    num_targets = int(sum((batch.num_targets * batch.example_weights).sum() for batch in batches))
    total = 0.0
    for batch in batches:
        weights = example_loss_weights(batch, normalization, num_examples=num_examples, num_targets=num_targets)
        share, _ = weighted_loss(model, batch, weights, 0.1)
        share.backward()
        total += share.item()
    return total, {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, gradient in expected.items():
        # The gradient of the image encoder's key biases is zero but for rounding: softmax does not see them.
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-8, name


@pytest.mark.parametrize("normalization", list(Normalization))
def test_splitting_or_packing_a_window_changes_no_gradient(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, normalization: Normalization
) -> None:
    examples = random_examples(8)
    whole_loss, whole = window_gradients(model, [batch_of(examples)], normalization)
    splits = {
        "8 x 1": [batch_of([example]) for example in examples],
        "4 x 2": [batch_of(examples[start : start + 2]) for start in range(0, 8, 2)],
        "packed": [batch_of(examples[:5], 50), batch_of(examples[5:], 40)],
    }
    for split in splits.values():
        split_loss, gradients = window_gradients(model, split, normalization)
        assert split_loss == pytest.approx(whole_loss, rel=1e-6)
        assert_same_gradients(gradients, whole)


def test_the_two_normalizations_differ_when_suffixes_do(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(4))
    sums = loss_sums(model, batch)
    num_targets = int(batch.num_targets.sum())
    means = {
        kind: (sums * example_loss_weights(batch, kind, num_examples=4, num_targets=num_targets)).sum().item()
        for kind in Normalization
    }
    assert means[Normalization.example] == pytest.approx((sums / batch.num_targets).mean().item())
    assert means[Normalization.token] == pytest.approx(sums.sum().item() / num_targets)
    assert means[Normalization.example] != pytest.approx(means[Normalization.token], rel=1e-3)


@pytest.mark.parametrize("normalization", list(Normalization))
def test_a_stand_in_counts_for_nothing(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, normalization: Normalization
) -> None:
    examples = random_examples(3)
    with_stand_in = replace(batch_of(examples), example_weights=torch.tensor([1.0, 0.0, 1.0]))
    loss_with, gradients_with = window_gradients(model, [with_stand_in], normalization)
    loss_without, gradients = window_gradients(model, [batch_of([examples[0], examples[2]])], normalization)
    assert loss_with == pytest.approx(loss_without, rel=1e-6)
    assert_same_gradients(gradients_with, gradients)


def test_a_window_of_stand_ins_has_loss_zero_and_finite_gradients(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = replace(batch_of(random_examples(2)), example_weights=torch.zeros(2))
    for normalization in Normalization:
        total, gradients = window_gradients(model, [batch], normalization)
        assert total == 0.0
        assert all(torch.count_nonzero(gradient) == 0 for gradient in gradients.values())


def test_scoring_in_chunks_changes_no_gradient(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [batch_of(random_examples(4))]
    whole_loss, whole = window_gradients(model, batches, Normalization.example)
    # Five targets in fp32.
    monkeypatch.setattr(linear_cross_entropy, "_CHUNK_BYTES", 5 * 4 * VOCABULARY_SIZE)
    monkeypatch.setattr(linear_cross_entropy, "_TILE_IDS", 7)
    chunked_loss, chunked = window_gradients(model, batches, Normalization.example)
    assert chunked_loss == pytest.approx(whole_loss, rel=1e-6)
    assert_same_gradients(chunked, whole)


def test_prefixes_without_targets_have_loss_zero(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    prefixes = [
        replace(
            example, input_ids=example.input_ids[~example.is_suffix], is_suffix=example.is_suffix[~example.is_suffix]
        )
        for example in random_examples(2)
    ]
    assert loss_sums(model, batch_of(prefixes)).tolist() == [0.0, 0.0]
