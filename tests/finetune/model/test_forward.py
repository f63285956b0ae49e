"""Our packed forward against transformers' own, sample by sample."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.engine.loss import micro_batch_loss
from finetune.model.forward import all_states, embed_tokens, target_states, vocabulary_logits
from finetune.settings import Checkpointing
from finetune.types import TokenizedExample

VOCABULARY_SIZE = 40
BuildModel = Callable[..., nn.Module]
MakeExamples = Callable[..., list[TokenizedExample]]
BatchOf = Callable[..., Batch]


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def model(request: pytest.FixtureRequest, small_paligemma: BuildModel) -> nn.Module:
    return small_paligemma(request.param)


def transformers_logits(model: nn.Module, examples: Sequence[TokenizedExample], batch_of: BatchOf) -> list[Tensor]:
    """Return the logits of each example alone, from transformers' forward with its prefix-LM mask."""
    logits = []
    for example in examples:
        batch = batch_of([example])
        output = model(
            input_ids=batch.input_ids,
            pixel_values=batch.pixels / 127.5 - 1,
            token_type_ids=batch.is_suffix.long(),
            attention_mask=torch.ones_like(batch.input_ids),
        )
        logits.append(output.logits[0, :, :VOCABULARY_SIZE])
    return logits


def our_logits(model: nn.Module, batch: Batch) -> list[Tensor]:
    """Return the logits at each example's positions, in order."""
    logits = vocabulary_logits(model, all_states(model, batch), VOCABULARY_SIZE)
    return [logits[batch.example_ids == example] for example in range(batch.num_examples)]


def largest_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    return max((a - b).abs().max().item() for a, b in zip(first, second, strict=True))


def add_random_adapters(model: nn.Module) -> None:
    """Inject LoRA with random, not zero, output matrices into every linear of the model but the head."""
    from peft import LoraConfig, inject_adapter_in_model

    targets = r".*\.(q_proj|k_proj|v_proj|o_proj|out_proj|gate_proj|up_proj|down_proj|fc1|fc2|linear)"
    # Otherwise the tests that ran before would decide what is drawn, and how much bf16 rounds away.
    torch.manual_seed(0)
    inject_adapter_in_model(LoraConfig(r=4, target_modules=targets), model)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.2)


@pytest.mark.parametrize("row_tokens", [None, 30, 64])
@torch.no_grad()
def test_logits_equal_those_of_transformers_however_examples_are_packed(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, row_tokens: int | None
) -> None:
    examples = random_examples(7)
    expected = transformers_logits(model, examples, batch_of)
    assert largest_difference(our_logits(model, batch_of(examples, row_tokens)), expected) < 1e-5


@torch.no_grad()
def test_injected_adapters_take_part_in_every_linear(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    examples = random_examples(4)
    plain = our_logits(model, batch_of(examples))
    add_random_adapters(model)
    adapted = our_logits(model, batch_of(examples, 40))
    assert largest_difference(adapted, transformers_logits(model, examples, batch_of)) < 2e-5
    assert largest_difference(adapted, plain) > 0.1


def causal(example_ids: Tensor, position_ids: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    same = example_ids[:, :, None] == example_ids[:, None, :]
    return same & (position_ids[:, None, :] <= position_ids[:, :, None])


def bidirectional(example_ids: Tensor, position_ids: Tensor, is_suffix: Tensor, prefix_ids: Tensor) -> Tensor:
    return example_ids[:, :, None] == example_ids[:, None, :]


def leaking_between_examples(
    example_ids: Tensor, position_ids: Tensor, is_suffix: Tensor, prefix_ids: Tensor
) -> Tensor:
    return ~is_suffix[:, None, :] | (position_ids[:, None, :] <= position_ids[:, :, None])


@pytest.mark.parametrize("rule", [causal, bidirectional, leaking_between_examples])
@torch.no_grad()
def test_a_broken_mask_gives_other_logits(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, rule: Callable[..., Tensor]
) -> None:
    batch = batch_of(random_examples(5), 40)
    right = vocabulary_logits(model, target_states(model, batch), VOCABULARY_SIZE)
    wrong = vocabulary_logits(model, target_states(model, batch, mask_rule=rule), VOCABULARY_SIZE)
    assert (right - wrong).abs().max() > 0.1


@torch.no_grad()
def test_target_states_are_the_states_that_predict_the_targets(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    examples = random_examples(5)
    batch = batch_of(examples, 40)
    logits = vocabulary_logits(model, target_states(model, batch), VOCABULARY_SIZE)
    expected = [
        logits_of_one[:-1][torch.from_numpy(example.is_suffix[1:])]
        for logits_of_one, example in zip(transformers_logits(model, examples, batch_of), examples, strict=True)
    ]
    torch.testing.assert_close(logits, torch.cat(expected), atol=1e-5, rtol=0)


@torch.no_grad()
def test_padding_gives_finite_states(model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf) -> None:
    assert all_states(model, batch_of(random_examples(2), 100)).isfinite().all()


@torch.no_grad()
def test_image_tokens_are_not_scaled_and_text_is(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(2))
    embedded = embed_tokens(model, batch)
    images = model.get_image_features(batch.pixels / 127.5 - 1).pooler_output
    torch.testing.assert_close(embedded[:, :4], images, atol=1e-5, rtol=0)
    table = model.get_input_embeddings().weight
    torch.testing.assert_close(embedded[:, 4:], table[batch.input_ids[:, 4:]] * 32**0.5)


def gradients(model: nn.Module, batch: Batch, rung: Checkpointing) -> dict[str, Tensor]:
    model.zero_grad()
    states = target_states(model, batch, rung=rung)
    weights = torch.ones(batch.num_examples)
    micro_batch_loss(model, states, batch, weights, vocabulary_size=VOCABULARY_SIZE)[0].backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_checkpointing_layers_leaves_every_gradient_as_it_was(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(3), 40)
    kept = gradients(model, batch, Checkpointing.none)
    for rung in Checkpointing:
        recomputed = gradients(model, batch, rung)
        assert kept.keys() == recomputed.keys() == dict(model.named_parameters()).keys()
        assert all(torch.equal(kept[name], recomputed[name]) for name in kept)


@pytest.mark.parametrize("rung", Checkpointing)
def test_a_frozen_image_encoder_keeps_nothing_and_the_connector_still_learns(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, rung: Checkpointing
) -> None:
    model.model.vision_tower.requires_grad_(False)
    tower_outputs = []
    model.model.vision_tower.post_layernorm.register_forward_hook(lambda *call: tower_outputs.append(call[2]))
    found = gradients(model, batch_of(random_examples(3)), rung)
    assert not any(output.requires_grad for output in tower_outputs)
    assert found["model.multi_modal_projector.linear.weight"].abs().sum() > 0
    assert not any("vision_tower" in name for name in found)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("rung", Checkpointing)
def test_fp32_adapters_learn_over_a_bf16_base(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf, autocast: bool, rung: Checkpointing
) -> None:
    batch = batch_of(random_examples(3))
    add_random_adapters(model)
    exact = gradients(model, batch, Checkpointing.none)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
        if "lora_" not in name:
            parameter.data = parameter.data.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        found = gradients(model, batch, rung)
    assert found.keys() == {name for name in exact if "lora_" in name}
    for name, gradient in found.items():
        assert gradient.dtype == torch.float32
        assert torch.cosine_similarity(gradient.flatten(), exact[name].flatten(), dim=0) > 0.98, name


def test_fp32_weights_learn_under_autocast_over_a_bf16_base(
    model: nn.Module, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(3))
    for name, parameter in model.named_parameters():
        if "language_model" in name and "embed_tokens" not in name:
            parameter.data = parameter.data.bfloat16()
            parameter.requires_grad_(False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gradients(model, batch, Checkpointing.none)
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in found.values())
    assert {"vision_tower", "multi_modal_projector", "language_model"} <= {name.split(".")[1] for name in found}
