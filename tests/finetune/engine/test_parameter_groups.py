"""Which parameters decay and how fast each trains, on real module trees."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

from finetune.engine.optimizer import AdamW
from finetune.engine.parameter_groups import check_multipliers, decay_without_effect, parameter_groups
from finetune.model.npz_config import dimensions_of
from finetune.model.npz_layout import array_rules
from finetune.model.parts import Part, part_of
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import PartFlags, PartMultipliers, Precision

BuildModel = Callable[..., nn.Module]


def decaying(model: nn.Module, choice: AdamW) -> set[str]:
    groups = parameter_groups(model, choice, PartMultipliers())
    return {name for group in groups if group["weight_decay"] for name, _ in group["params"]}


@pytest.fixture
def full_model(small_paligemma: BuildModel) -> nn.Module:
    return small_paligemma(2).requires_grad_(True)


@pytest.fixture
def lora_model(small_paligemma: BuildModel) -> nn.Module:
    model = small_paligemma(2).requires_grad_(False)
    Lora(rank=2, use_dora=True, fully_trained=["connector"]).apply(model, PartFlags(), Precision.fp32)
    return model


def test_every_trainable_parameter_is_in_exactly_one_group_by_name(full_model: nn.Module) -> None:
    groups = parameter_groups(full_model, AdamW(), PartMultipliers())
    named = [pair for group in groups for pair in group["params"]]
    assert len(named) == len({name for name, _ in named})
    assert {name: id(parameter) for name, parameter in named} == {
        name: id(parameter) for name, parameter in full_model.named_parameters()
    }
    assert all(part_of(name).value == group["part"] for group in groups for name, _ in group["params"])


def test_by_default_the_kernels_of_image_encoder_and_connector_decay_and_nothing_else(full_model: nn.Module) -> None:
    names = decaying(full_model, AdamW())
    assert {part_of(name) for name in names} == {Part.image_encoder, Part.connector}
    assert any("patch_embedding.weight" in name for name in names), "the patch projection is a kernel"
    assert any("multi_modal_projector.linear.weight" in name for name in names)
    assert any("q_proj.weight" in name for name in names)
    for stranger in ("position_embedding", "bias", "norm"):
        assert not any(stranger in name for name in names)


@pytest.mark.parametrize("generation", [1, 2])
def test_the_originals_own_expressions_choose_the_same_parameters(small_paligemma: BuildModel, generation: int) -> None:
    model = small_paligemma(generation).requires_grad_(True)
    rules = array_rules(dimensions_of(model.config, vocabulary_size=40))
    arrays = {name: rule.array for rule in rules for layer in range(rule.num_layers) for name in rule.names(layer)}
    assert arrays.keys() == dict(model.named_parameters()).keys()
    # `wd_mults` of big_vision's optax.py, and the pattern whose schedule is None where a transfer freezes the "ViT".
    assert decaying(model, AdamW()) == {name for name, array in arrays.items() if re.fullmatch(r".*/kernel", array)}
    is_img = {name for name, array in arrays.items() if re.fullmatch(r"img/.*", array)}
    assert is_img == {name for name in arrays if part_of(name) in (Part.image_encoder, Part.connector)}


def test_decay_parts_can_name_the_decoder_but_embeddings_and_norms_never_decay(full_model: nn.Module) -> None:
    names = decaying(full_model, AdamW(decay_parts=[part.value for part in Part]))
    assert any("language_model" in name for name in names)
    parameters = dict(full_model.named_parameters())
    assert all(parameters[name].ndim >= 2 and "embed_tokens" not in name for name in names)


def test_adapters_decay_only_on_request_and_then_in_every_part(lora_model: nn.Module) -> None:
    assert decaying(lora_model, AdamW()) == {"model.multi_modal_projector.linear.weight"}
    names = decaying(lora_model, AdamW(decay_adapters=True, decay_parts=[]))
    matrices = {name for name, p in lora_model.named_parameters() if "lora_A" in name or "lora_B" in name}
    assert matrices
    assert names == matrices, "DoRA's magnitudes are vectors and stay"


@pytest.mark.parametrize(
    ("choice", "decaying", "note"),
    [
        (AdamW(), "decoder.weight", None),
        (AdamW(weight_decay=0.0), None, None),
        (AdamW(decay_adapters=True), "decoder.q_proj.lora_A.weight", None),
        (AdamW(decay_adapters=True), "decoder.weight", "decay_adapters=true has no effect: no adapter trains"),
        (
            AdamW(decay_adapters=True, weight_decay=0.0),
            None,
            "decay_adapters=true has no effect: weight_decay is 0",
        ),
        (
            AdamW(decay_parts=["decoder"], weight_decay=0.3),
            None,
            "weight_decay=0.3 reaches no parameter that trains, with decay_parts=[decoder] and decay_adapters=false",
        ),
    ],
)
def test_decay_that_reaches_nothing_is_told(choice: AdamW, decaying: str | None, note: str | None) -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    groups = [{"params": [("decoder.norm", weight)], "weight_decay": 0.0}]
    groups += [{"params": [(decaying, weight)], "weight_decay": choice.weight_decay}] if decaying else []
    assert decay_without_effect(choice, groups) == note


def test_each_part_has_its_own_learning_rate(full_model: nn.Module) -> None:
    groups = parameter_groups(full_model, AdamW(learning_rate=1e-3), PartMultipliers(image_encoder=0.1, decoder=2.0))
    rates = {group["part"]: group["peak_learning_rate"] for group in groups}
    assert rates == pytest.approx({"image_encoder": 1e-4, "connector": 1e-3, "embeddings": 1e-3, "decoder": 2e-3})
    assert all(group["lr"] == group["peak_learning_rate"] for group in groups)


def test_frozen_parameters_are_in_no_group(small_paligemma: BuildModel) -> None:
    model = small_paligemma(1).requires_grad_(False)
    FullFineTuning().apply(model, PartFlags(image_encoder=True, embeddings=True), Precision.fp32)
    assert {group["part"] for group in parameter_groups(model, AdamW(), PartMultipliers())} == {"connector", "decoder"}


def test_a_model_without_trainable_parameters_is_refused(small_paligemma: BuildModel) -> None:
    with pytest.raises(ValueError, match="nothing trains"):
        parameter_groups(small_paligemma(1).requires_grad_(False), AdamW(), PartMultipliers())


def test_a_learning_rate_for_a_part_that_does_not_train_is_refused(lora_model: nn.Module) -> None:
    check_multipliers(lora_model, PartMultipliers(decoder=0.5, connector=2.0))
    with pytest.raises(ValueError, match=r"learning_rates.embeddings=0.1 has no effect: .*set it to 1"):
        check_multipliers(lora_model, PartMultipliers(embeddings=0.1))
