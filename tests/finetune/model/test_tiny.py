"""The tiny models: what they are made of, that a seed decides random ones, and that the embedded one has learnt."""

import pytest
import torch

from finetune.model.choices import TINY_CHECKPOINT, PretrainedTinyModel, TinyModel
from finetune.settings import Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 2}


@pytest.mark.parametrize("generation", [1, 2])
def test_the_default_size_is_a_few_million_parameters_and_64_image_tokens(generation: int) -> None:
    loaded = TinyModel(generation=generation).load()
    assert 3e6 < sum(parameter.numel() for parameter in loaded.model.parameters()) < 5e6
    assert (loaded.image_size, loaded.patch_size, loaded.num_image_tokens) == (112, 14, 64)
    assert loaded.generation == generation
    assert loaded.model.config.text_config.vocab_size % 64 == 0
    assert loaded.model.config.text_config.vocab_size > loaded.tokenizer.image_token_id


def test_generation_2_has_grouped_queries_and_an_attention_soft_cap_and_no_final_one() -> None:
    decoder = TinyModel(**SMALL).load().model.config.text_config
    assert decoder.model_type == "gemma2"
    assert decoder.num_attention_heads > decoder.num_key_value_heads > 1
    assert decoder.attn_logit_softcapping == 50.0
    assert decoder.final_logit_softcapping is None
    assert set(decoder.layer_types) == {"full_attention"}


def test_generation_1_has_one_key_value_head() -> None:
    decoder = TinyModel(generation=1, **SMALL).load().model.config.text_config
    assert decoder.model_type == "gemma"
    assert decoder.num_key_value_heads == 1


def test_the_output_head_is_the_embedding_table() -> None:
    model = TinyModel(dtype=Precision.bf16, **SMALL).load().model
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_the_seed_decides_the_weights_and_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first, again, other = (TinyModel(init_seed=seed, **SMALL).load().model.lm_head.weight for seed in (3, 3, 4))
    assert torch.rand(1) == expected
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("precision", list(Precision))
def test_frozen_weights_are_kept_in_the_dtype_asked_for(precision: Precision) -> None:
    wanted = {Precision.fp32: torch.float32, Precision.bf16: torch.bfloat16, Precision.fp16: torch.float16}[precision]
    model = TinyModel(dtype=precision, **SMALL).load().model
    assert {parameter.dtype for parameter in model.parameters()} == {wanted}
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_another_resolution_changes_the_number_of_image_tokens() -> None:
    loaded = TinyModel(image_size=56, **SMALL).load()
    assert (loaded.image_size, loaded.num_image_tokens) == (56, 16)
    images = loaded.model.model.get_image_features(torch.zeros(1, 3, 56, 56)).pooler_output
    assert images.shape == (1, 16, 64)


def test_neighbours_among_positions_and_locations_start_as_neighbours() -> None:
    loaded = TinyModel().load()
    (first,) = loaded.tokenizer.encode("<loc0000>")
    bins = loaded.model.get_input_embeddings().weight[first : first + 1024]
    positions = loaded.model.model.vision_tower.embeddings.position_embedding.weight
    for near, far in ((bins[501], bins[900]), (bins[499], bins[100])):
        assert torch.cosine_similarity(bins[500], near, dim=0) > 0.9
        assert torch.cosine_similarity(bins[500], far, dim=0) < 0.7
    # On the 8 x 8 grid, patch 27's neighbours are 26 and 28 beside it, 19 and 35 above and below.
    similarities = torch.cosine_similarity(positions[27], positions, dim=1)
    assert set(similarities.topk(5).indices.tolist()) == {27, 26, 28, 19, 35}


def test_location_tokens_start_as_large_as_any_other() -> None:
    loaded = TinyModel().load()
    table = loaded.model.get_input_embeddings().weight
    (first,) = loaded.tokenizer.encode("<loc0000>")
    assert table[first : first + 1024].std().item() == pytest.approx(table[:first].std().item(), rel=0.15)


def test_the_embedded_model_is_the_same_architecture_with_weights_under_twelve_megabytes() -> None:
    embedded, random = PretrainedTinyModel().load(), TinyModel().load()
    shapes = {name: tensor.shape for name, tensor in random.model.state_dict().items()}
    assert {name: tensor.shape for name, tensor in embedded.model.state_dict().items()} == shapes
    assert (TINY_CHECKPOINT / "model.safetensors").stat().st_size < 12e6
    assert embedded.base_name == "tiny"
    assert embedded.base_revision is not None
    assert {parameter.dtype for parameter in embedded.model.parameters()} == {torch.float32}


def test_the_embedded_model_takes_another_resolution() -> None:
    loaded = PretrainedTinyModel(image_size=56, dtype=Precision.bf16).load()
    assert (loaded.image_size, loaded.base_image_size, loaded.num_image_tokens) == (56, 112, 16)
