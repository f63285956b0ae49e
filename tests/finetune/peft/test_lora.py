"""LoRA touches exactly the chosen layers, with exactly the expected number of parameters."""

import re
from itertools import product

import pytest
import torch

from finetune.model.choices import TinyModel
from finetune.model.freeze import trainable_by_part
from finetune.model.parts import Part
from finetune.peft.lora import _TARGETS, Lora
from finetune.settings import PartFlags, Precision

SMALL = {"vision_width": 32, "vision_depth": 2, "decoder_width": 64, "decoder_depth": 3}
CHOICES = ["decoder_attention", "decoder_mlp", "connector", "image_encoder"]
# (inputs, outputs) of the linear layers of one layer: width 64, 4 query heads and 2 key-value heads of 64, MLP 256.
LAYERS = {
    "decoder_attention": (3, [(64, 256), (64, 128), (64, 128), (256, 64)]),
    "decoder_mlp": (3, [(64, 256), (64, 256), (256, 64)]),
    "connector": (1, [(32, 64)]),
    "image_encoder": (2, [(32, 32)] * 4 + [(32, 128), (128, 32)]),
}
PARTS = {
    "decoder_attention": Part.decoder,
    "decoder_mlp": Part.decoder,
    "connector": Part.connector,
    "image_encoder": Part.image_encoder,
}


@pytest.mark.parametrize("chosen", [flags for flags in product([False, True], repeat=4) if any(flags)])
@pytest.mark.parametrize("use_dora", [False, True])
def test_adapters_have_the_number_of_parameters_that_the_formula_gives(
    chosen: tuple[bool, ...], use_dora: bool
) -> None:
    model = TinyModel(**SMALL).load().model
    expected = dict.fromkeys(Part, 0)
    for name, is_chosen in zip(CHOICES, chosen, strict=True):
        num_layers, shapes = LAYERS[name]
        size = sum(5 * (inputs + outputs) + use_dora * outputs for inputs, outputs in shapes)
        expected[PARTS[name]] += is_chosen * num_layers * size
    Lora(rank=5, use_dora=use_dora, **dict(zip(CHOICES, chosen, strict=True))).apply(model, PartFlags(), Precision.fp32)
    assert {count.part: count.num_trainable for count in trainable_by_part(model)} == expected


@pytest.mark.parametrize("name", CHOICES)
def test_targets_do_not_depend_on_the_levels_of_a_key_layout(name: str) -> None:
    names = {
        "decoder_attention": ["self_attn.q_proj", "self_attn.o_proj"],
        "decoder_mlp": ["mlp.gate_proj", "mlp.down_proj"],
        "image_encoder": ["self_attn.out_proj", "self_attn.k_proj", "mlp.fc1", "mlp.fc2"],
        "connector": ["multi_modal_projector.linear", "model.multi_modal_projector.linear"],
    }
    roots = {
        "decoder_attention": ["language_model.model.layers.0.", "model.language_model.layers.17."],
        "image_encoder": ["vision_tower.vision_model.encoder.layers.0.", "model.vision_tower.encoder.layers.26."],
        "connector": [""],
    }
    roots["decoder_mlp"] = roots["decoder_attention"]
    keys = {root + leaf: choice for choice in CHOICES for root in roots[choice] for leaf in names[choice]}
    for key, choice in keys.items():
        assert bool(re.fullmatch(_TARGETS[name][1], key)) == (choice == name)


def test_a_fully_trained_part_trains_beside_the_adapters() -> None:
    model = TinyModel(**SMALL).load().model
    Lora(rank=2, fully_trained=["connector", "embeddings"]).apply(model, PartFlags(), Precision.fp32)
    counts = {count.part: count for count in trainable_by_part(model)}
    for part in (Part.connector, Part.embeddings):
        assert counts[part].num_trainable == counts[part].num_total
    assert 0 < counts[Part.decoder].num_trainable < counts[Part.decoder].num_total
    assert counts[Part.image_encoder].num_trainable == 0


@pytest.mark.parametrize("frozen", [Precision.bf16, Precision.fp16])
def test_what_trains_is_float32_unless_asked_otherwise(frozen: Precision) -> None:
    model = TinyModel(dtype=frozen, **SMALL).load().model
    Lora(rank=2, use_dora=True, fully_trained=["connector"]).apply(model, PartFlags(), Precision.fp32)
    assert {parameter.dtype for parameter in model.parameters() if parameter.requires_grad} == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters() if not parameter.requires_grad} == {
        model.lm_head.weight.dtype
    }
    narrow = TinyModel(dtype=frozen, **SMALL).load().model
    Lora(rank=2).apply(narrow, PartFlags(), Precision.bf16)
    assert {parameter.dtype for parameter in narrow.parameters() if parameter.requires_grad} == {torch.bfloat16}


def test_the_frozen_image_encoder_stays_out_of_the_backward_pass() -> None:
    model = TinyModel(**SMALL).load().model
    Lora().apply(model, PartFlags(), Precision.fp32)
    assert not model.model.get_image_features(torch.zeros(1, 3, 112, 112)).pooler_output.requires_grad
    assert not model.get_input_embeddings()(torch.zeros(1, 1, dtype=torch.long)).requires_grad


def test_a_fresh_adapter_does_not_change_the_model() -> None:
    model = TinyModel(**SMALL).load().model
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        before = model(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits
        Lora(use_dora=True, use_rslora=True).apply(model, PartFlags(), Precision.fp32)
        after = model(input_ids=ids, token_type_ids=torch.zeros_like(ids)).logits
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


def test_the_same_random_state_gives_the_same_adapter() -> None:
    weights = []
    for _ in range(2):
        model = TinyModel(**SMALL).load().model
        torch.manual_seed(5)
        Lora().apply(model, PartFlags(), Precision.fp32)
        weights.append(model.model.language_model.layers[0].self_attn.q_proj.lora_A["default"].weight)
    assert torch.equal(*weights)


@pytest.mark.parametrize(
    ("settings", "freeze", "message"),
    [
        ({"decoder_attention": False, "decoder_mlp": False}, {}, "peft=lora has no target"),
        ({}, {"decoder": True}, r"freeze\.decoder=true and peft\.decoder_attention=true contradict"),
        ({"image_encoder": True}, {"image_encoder": True}, r"freeze\.image_encoder=true and peft\.image_encoder=true"),
        (
            {"connector": True, "fully_trained": ["connector"]},
            {},
            r"peft\.connector=true and peft\.fully_trained=connector",
        ),
        (
            {"fully_trained": ["embeddings"]},
            {"embeddings": True},
            r"freeze\.embeddings=true and peft\.fully_trained=emb",
        ),
    ],
)
def test_contradictions_are_refused(settings: dict[str, object], freeze: dict[str, bool], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lora(**settings).check(PartFlags(**freeze))


def test_freezing_what_lora_leaves_alone_is_allowed() -> None:
    Lora().check(PartFlags(image_encoder=True, connector=True, embeddings=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, r"peft\.rank must be at least 1"),
        ({"alpha": 0.0}, r"peft\.alpha must be above 0"),
        ({"dropout": 1.0}, r"peft\.dropout must be between 0 and 0\.99"),
        ({"fully_trained": ["head"]}, r"peft\.fully_trained names parts of the model .*'head'"),
    ],
)
def test_values_out_of_range_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Lora(**settings)


def test_a_rank_above_that_of_the_narrowest_layer_is_refused_before_it_is_allocated() -> None:
    model = TinyModel(**SMALL).load().model
    with pytest.raises(
        ValueError, match=r"peft.rank=1000000 is above the full rank 64 of \S*layers.0.self_attn.q_proj"
    ):
        Lora(rank=1_000_000).apply(model, PartFlags(), Precision.fp32)
    with pytest.raises(ValueError, match=r"peft.rank=33 is above the full rank 32 of \S*multi_modal_projector.linear"):
        Lora(rank=33, connector=True).apply(model, PartFlags(), Precision.fp32)
    Lora(rank=64).apply(model, PartFlags(), Precision.fp32)
