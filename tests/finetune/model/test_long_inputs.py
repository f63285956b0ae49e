"""PaliGemma 2 with sixteen frames: over 4096 tokens, where the window of its configuration would be felt."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from finetune.data.packing import Batch, pack
from finetune.model.decoding import extend, read_prefixes
from finetune.model.forward import all_states, target_states, vocabulary_logits
from finetune.model.image_encoder import vision_tower
from finetune.types import TokenizedExample

WINDOW, NUM_IMAGES, IMAGE_TOKENS, VOCABULARY_SIZE, IMAGE_TOKEN = 4096, 16, 256, 40, 40
NUM_PREFIX, NUM_SUFFIX = 30, 8
KINDS = {"full": "full_attention", "windowed": "sliding_attention"}


def new_model(kind: str) -> nn.Module:
    """Build a decoder of one layer, where nothing comes in two hops, behind an encoder that mixes no patches."""
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

    config = PaliGemmaConfig(
        text_config={
            "model_type": "gemma2",
            "vocab_size": 44,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "query_pre_attn_scalar": 16,
            "sliding_window": WINDOW,
            "layer_types": [KINDS[kind]],
            "final_logit_softcapping": None,
            "max_position_embeddings": 1024,
            "pad_token_id": 0,
            "bos_token_id": 2,
            "eos_token_id": 1,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 8,
            "intermediate_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "image_size": 224,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_index=IMAGE_TOKEN,
        projection_dim=16,
        attn_implementation="eager",
    )
    model: nn.Module = PaliGemmaForConditionalGeneration(config)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
        parameter.data.normal_(0, fan_in**-0.5, generator=generator)
    vision_tower(model).encoder.layers[0].self_attn.out_proj.weight.data.zero_()
    return model.eval()


@dataclass(frozen=True)
class Case:
    """One example of sixteen frames, and the same with another first patch: another first token, and no other."""

    batch: Batch
    changed: Batch


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.default_rng(0)
    length = NUM_IMAGES * IMAGE_TOKENS + NUM_PREFIX + NUM_SUFFIX
    ids = rng.integers(5, VOCABULARY_SIZE, length)
    ids[: NUM_IMAGES * IMAGE_TOKENS] = IMAGE_TOKEN
    example = TokenizedExample(
        sample_id="clip",
        input_ids=ids,
        is_suffix=np.arange(length) >= length - NUM_SUFFIX,
        num_image_tokens=NUM_IMAGES * IMAGE_TOKENS,
    )
    pixels = torch.from_numpy(rng.integers(0, 256, (NUM_IMAGES, 3, 224, 224), dtype=np.uint8))
    batch = pack([example], pixels, image_token_id=IMAGE_TOKEN)
    changed = pixels.clone()
    changed[0, :, :14, :14] = 255 - changed[0, :, :14, :14]
    return Case(batch=batch, changed=replace(batch, pixels=changed))


def theirs(model: nn.Module, batch: Batch) -> Float[Tensor, "tokens vocabulary"]:
    output = model(
        input_ids=batch.input_ids,
        pixel_values=batch.pixels / 127.5 - 1,
        token_type_ids=batch.is_suffix.long(),
        attention_mask=torch.ones_like(batch.input_ids),
        use_cache=False,
    )
    logits: Tensor = output.logits[0, :, :VOCABULARY_SIZE]
    return logits


def last_logits(model: nn.Module, batch: Batch) -> Float[Tensor, " vocabulary"]:
    """Score what follows the last suffix token but one: what the last target is predicted from."""
    return vocabulary_logits(model, target_states(model, batch)[-1], VOCABULARY_SIZE)


@torch.no_grad()
def test_every_logit_is_that_of_transformers_with_full_attention_and_not_with_its_window(case: Case) -> None:
    model = new_model("windowed")
    ours = vocabulary_logits(model, all_states(model, case.batch)[0], VOCABULARY_SIZE)
    torch.testing.assert_close(ours, theirs(new_model("full"), case.batch), atol=1e-5, rtol=0)
    windowed = theirs(model, case.batch)
    is_suffix = case.batch.is_suffix[0]
    assert (ours - windowed)[is_suffix].abs().max() > 1e-4, "the window of the configuration would have shown"


@torch.no_grad()
def test_the_first_image_token_reaches_the_last_target_through_one_layer(case: Case) -> None:
    model = new_model("windowed")
    assert int(case.batch.predictor_rows[-1]) > WINDOW
    moved = (last_logits(model, case.batch) - last_logits(model, case.changed)).abs().max()
    assert moved > 1e-4


@torch.no_grad()
def test_generation_over_the_cache_sees_what_training_sees(case: Case) -> None:
    model = new_model("windowed")
    length = case.batch.input_ids.shape[1] - NUM_SUFFIX
    by_token = ("input_ids", "example_ids", "prefix_ids", "position_ids", "is_suffix")
    by_target = ("predictor_rows", "targets", "target_examples")
    shown = {name: getattr(case.batch, name)[:, :length] for name in by_token}
    prefix = replace(case.batch, **shown, **{name: getattr(case.batch, name)[:0] for name in by_target})
    _, cache = read_prefixes(model, prefix, max_new_tokens=NUM_SUFFIX)
    for new_id in case.batch.input_ids[0, length:-1]:
        states = extend(model, cache, new_id[None])
    logits = vocabulary_logits(model, states[0], VOCABULARY_SIZE)
    torch.testing.assert_close(logits, last_logits(model, case.batch), atol=1e-5, rtol=0)
