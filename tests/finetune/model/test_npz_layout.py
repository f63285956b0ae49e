"""The layout against transformers' own parameters, at the published dimensions: on the meta device, without memory."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from transformers import PaliGemmaForConditionalGeneration

from finetune.model.npz import parameters_by_name
from finetune.model.npz_config import config_of, dimensions_of
from finetune.model.npz_dimensions import Dimensions, read_dimensions
from finetune.model.npz_layout import EMBEDDING, array_rules

VISION = {"patch_size": 14, "vision_width": 1152, "vision_depth": 27, "vision_mlp": 4304, "vision_heads": 16}


def published(
    generation: int, *, width: int, depth: int, mlp: int, heads: tuple[int, int, int], side: int = 16
) -> Dimensions:
    return Dimensions(
        **VISION,
        num_image_tokens=side**2,
        vocabulary_size=257152,
        decoder_width=width,
        decoder_depth=depth,
        decoder_mlp=mlp,
        decoder_heads=heads[0],
        decoder_key_heads=heads[1],
        head_dim=heads[2],
        generation=generation,
        is_attention_fused=False,
    )


PUBLISHED = {
    "paligemma-3b": published(1, width=2048, depth=18, mlp=16384, heads=(8, 1, 256)),
    "paligemma2-3b": published(2, width=2304, depth=26, mlp=9216, heads=(8, 4, 256)),
    "paligemma2-10b": published(2, width=3584, depth=42, mlp=14336, heads=(16, 8, 256)),
    "paligemma2-28b": published(2, width=4608, depth=46, mlp=36864, heads=(32, 16, 128)),
}
# Counted by the authors' code at 224 pixels, with the rows that transformers' table has more.
NUM_PARAMETERS = {
    "paligemma-3b": 2_923_466_480,
    "paligemma2-3b": 3_032_242_416,
    "paligemma2-10b": 9_662_638_832,
    "paligemma2-28b": 27_650_487_024,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_parameter_of_the_published_models_is_filled_exactly_once(name: str) -> None:
    dimensions = PUBLISHED[name]
    with torch.device("meta"):
        model = PaliGemmaForConditionalGeneration(config_of(dimensions))
    parameters = parameters_by_name(model)
    assert sum(parameter.numel() for parameter in parameters.values()) == NUM_PARAMETERS[name]
    filled: Counter[str] = Counter()
    for rule in array_rules(dimensions):
        for layer in range(rule.num_layers):
            for parameter in rule.names(layer):
                filled[parameter] += 1
                rows = 64 * dimensions.decoder_width if rule.array == EMBEDDING else 0
                assert parameters[parameter].numel() == math.prod(rule.piece_shape) + rows, parameter
    assert filled.keys() == parameters.keys()
    assert set(filled.values()) == {1}
    assert dimensions_of(model.config, vocabulary_size=257152) == dimensions


@pytest.mark.parametrize("name", PUBLISHED)
def test_dimensions_are_read_from_the_shapes_alone(name: str) -> None:
    for dimensions in (PUBLISHED[name], replace(PUBLISHED[name], num_image_tokens=64**2)):
        assert read_dimensions({rule.array: rule.shape for rule in array_rules(dimensions)}) == dimensions


def test_published_shapes_are_those_of_the_original() -> None:
    shapes = {rule.array: rule.shape for rule in array_rules(PUBLISHED["paligemma2-28b"])}
    assert shapes["llm/layers/attn/q_einsum/w"] == (46, 32, 4608, 128)
    assert shapes["llm/layers/attn/kv_einsum/w"] == (46, 2, 16, 4608, 128)
    assert shapes["llm/layers/attn/attn_vec_einsum/w"] == (46, 32, 128, 4608)
    assert shapes["llm/layers/mlp/gating_einsum"] == (46, 2, 4608, 36864)
    assert shapes["img/Transformer/encoderblock/MultiHeadDotProductAttention_0/query/kernel"] == (27, 1152, 16, 72)
    assert len(shapes) == 34
    assert len(array_rules(PUBLISHED["paligemma-3b"])) == 32


def test_queries_are_scaled_as_the_original_scales_them() -> None:
    divisors = {name: dimensions.query_scale_divisor for name, dimensions in PUBLISHED.items()}
    assert divisors == {"paligemma-3b": 256, "paligemma2-3b": 256, "paligemma2-10b": 256, "paligemma2-28b": 144}
    assert config_of(PUBLISHED["paligemma2-28b"]).text_config.query_pre_attn_scalar == 144


@pytest.mark.parametrize(("vocabulary", "rows"), [(257152, 257216), (1536, 1600), (63, 64), (64, 128)])
def test_the_table_has_a_row_for_the_image_token_and_is_padded(vocabulary: int, rows: int) -> None:
    assert replace(PUBLISHED["paligemma-3b"], vocabulary_size=vocabulary).num_rows == rows


def test_queries_keys_and_values_are_one_array_where_heads_are_as_many() -> None:
    fused = replace(PUBLISHED["paligemma-3b"], decoder_key_heads=8, is_attention_fused=True)
    shapes = {rule.array: rule.shape for rule in array_rules(fused)}
    assert shapes["llm/layers/attn/qkv_einsum/w"] == (18, 3, 8, 2048, 256)
    assert "llm/layers/attn/q_einsum/w" not in shapes
    assert read_dimensions(shapes) == fused
