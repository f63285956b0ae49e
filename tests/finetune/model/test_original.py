"""Our forward and loss against the original's own numbers, on its weights (../shared/oracles)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from finetune.data.packing import Batch, pack
from finetune.engine.loss import example_loss_weights, per_example_loss_sums
from finetune.evaluate.generate import generate
from finetune.model import forward
from finetune.model.forward import all_states, target_states, vocabulary_logits
from finetune.model.image_encoder import embed_normalized
from finetune.settings import Normalization
from finetune.types import TokenizedExample

# One past the table: a placeholder's own row is never looked at.
VOCABULARY_SIZE = IMAGE_TOKEN = 1536
IMAGE_TOKENS = 16
LAYERS = {1: 2, 2: 3}

Arrays = Mapping[str, np.ndarray]


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def generation(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def expected(oracles: Path, generation: int) -> Arrays:
    return dict(np.load(oracles / f"paligemma{generation}_tiny.expected.npz"))


@pytest.fixture
def model(oracles: Path, generation: int, expected: Arrays, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Load the original's weights; its images are not whole grey levels, so they bypass uint8."""
    model = empty_model(generation)
    arrays = dict(np.load(oracles / f"paligemma{generation}_tiny.checkpoint.npz"))
    missing = model.load_state_dict(by_transformers_name(arrays, "", generation), strict=False).missing_keys
    assert missing == ["lm_head.weight"]
    images = torch.from_numpy(expected["image"]).permute(0, 3, 1, 2)

    def embed(model: nn.Module, pixels: Tensor, *, checkpoint_layers: bool) -> Tensor:
        return embed_normalized(model, images[pixels[:, 0, 0, 0].long()])

    monkeypatch.setattr(forward, "embed_images", embed)
    return model


def empty_model(generation: int) -> nn.Module:
    from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

    decoder = {
        "model_type": "gemma" if generation == 1 else "gemma2",
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": LAYERS[generation],
        "num_attention_heads": 4,
        "num_key_value_heads": generation,
        "head_dim": 32,
        "pad_token_id": 0,
    }
    if generation == 2:
        decoder |= {"query_pre_attn_scalar": 32, "attn_logit_softcapping": 50.0}
    config = PaliGemmaConfig(
        text_config=decoder,
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 48,
            "intermediate_size": 80,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "image_size": 56,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_index=IMAGE_TOKEN,
        projection_dim=64,
    )
    return PaliGemmaForConditionalGeneration(config)


def by_transformers_name(arrays: Arrays, prefix: str, generation: int) -> dict[str, Tensor]:
    """Rename and reshape the original's arrays. Linear, so that it maps gradients as well as weights.

    Source:
        ../shared/reference/big_vision.md, 6.2.
    """
    tree = {key.removeprefix(f"{prefix}params/"): value for key, value in arrays.items() if key.startswith(prefix)}
    named = image_arrays(tree) | decoder_arrays(tree, generation)
    return {f"model.{name}": torch.from_numpy(np.ascontiguousarray(array)) for name, array in named.items()}


def image_arrays(tree: Arrays) -> dict[str, np.ndarray]:
    tower, blocks = "vision_tower", "img/Transformer/encoderblock"
    named = {
        f"{tower}.embeddings.patch_embedding.weight": tree["img/embedding/kernel"].transpose(3, 2, 0, 1),
        f"{tower}.embeddings.patch_embedding.bias": tree["img/embedding/bias"],
        f"{tower}.embeddings.position_embedding.weight": tree["img/pos_embedding"][0],
        f"{tower}.post_layernorm.weight": tree["img/Transformer/encoder_norm/scale"],
        f"{tower}.post_layernorm.bias": tree["img/Transformer/encoder_norm/bias"],
        "multi_modal_projector.linear.weight": tree["img/head/kernel"].T,
        "multi_modal_projector.linear.bias": tree["img/head/bias"],
    }
    for layer in range(2):
        ours = f"{tower}.encoder.layers.{layer}"
        for index in range(2):
            named[f"{ours}.layer_norm{index + 1}.weight"] = tree[f"{blocks}/LayerNorm_{index}/scale"][layer]
            named[f"{ours}.layer_norm{index + 1}.bias"] = tree[f"{blocks}/LayerNorm_{index}/bias"][layer]
            named[f"{ours}.mlp.fc{index + 1}.weight"] = tree[f"{blocks}/MlpBlock_0/Dense_{index}/kernel"][layer].T
            named[f"{ours}.mlp.fc{index + 1}.bias"] = tree[f"{blocks}/MlpBlock_0/Dense_{index}/bias"][layer]
        heads = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj"}
        for theirs, name in heads.items():
            attention = f"{blocks}/MultiHeadDotProductAttention_0/{theirs}"
            named[f"{ours}.self_attn.{name}.weight"] = tree[f"{attention}/kernel"][layer].reshape(48, 48).T
            named[f"{ours}.self_attn.{name}.bias"] = tree[f"{attention}/bias"][layer].reshape(48)
    return named


def decoder_arrays(tree: Arrays, generation: int) -> dict[str, np.ndarray]:
    norms = {"pre_attention_norm": "input_layernorm", "pre_ffw_norm": "post_attention_layernorm"}
    if generation == 2:
        norms |= {
            "pre_ffw_norm": "pre_feedforward_layernorm",
            "post_attention_norm": "post_attention_layernorm",
            "post_ffw_norm": "post_feedforward_layernorm",
        }
    named = {
        "language_model.embed_tokens.weight": tree["llm/embedder/input_embedding"],
        "language_model.norm.weight": tree["llm/final_norm/scale"],
    }
    for layer in range(LAYERS[generation]):
        ours = f"language_model.layers.{layer}"
        for theirs, name in norms.items():
            named[f"{ours}.{name}.weight"] = tree[f"llm/layers/{theirs}/scale"][layer]
        keys, values = tree["llm/layers/attn/kv_einsum/w"][layer]
        heads = {"q_proj": tree["llm/layers/attn/q_einsum/w"][layer], "k_proj": keys, "v_proj": values}
        for name, array in heads.items():
            named[f"{ours}.self_attn.{name}.weight"] = array.transpose(0, 2, 1).reshape(-1, 64)
        out = tree["llm/layers/attn/attn_vec_einsum/w"][layer]
        named[f"{ours}.self_attn.o_proj.weight"] = out.transpose(2, 0, 1).reshape(64, -1)
        gate, up = tree["llm/layers/mlp/gating_einsum"][layer]
        named[f"{ours}.mlp.gate_proj.weight"], named[f"{ours}.mlp.up_proj.weight"] = gate.T, up.T
        named[f"{ours}.mlp.down_proj.weight"] = tree["llm/layers/mlp/linear"][layer].T
    return named


def batch_of(expected: Arrays, *, row_tokens: int | None = None, with_suffix: bool = True) -> Batch:
    """Lay the oracle's texts out as our examples; each image's first pixel says which one it is."""
    examples = []
    for index, (text, is_suffix, is_input) in enumerate(
        zip(expected["text"], expected["mask_loss"], expected["mask_input"], strict=True)
    ):
        kept = (is_input == 1) & (with_suffix | (is_suffix == 0))
        examples.append(
            TokenizedExample(
                sample_id=str(index),
                input_ids=np.concatenate([np.full(IMAGE_TOKENS, IMAGE_TOKEN), text[kept]]),
                is_suffix=np.concatenate([np.zeros(IMAGE_TOKENS), is_suffix[kept]]).astype(bool),
                num_image_tokens=IMAGE_TOKENS,
            )
        )
    which = torch.arange(len(examples), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 56, 56)
    return pack(examples, which, image_token_id=IMAGE_TOKEN, row_tokens=row_tokens)


@pytest.mark.parametrize("row_tokens", [None, 80])
@torch.no_grad()
def test_logits_are_the_originals(model: nn.Module, expected: Arrays, row_tokens: int | None) -> None:
    batch = batch_of(expected, row_tokens=row_tokens)
    logits = vocabulary_logits(model, all_states(model, batch), VOCABULARY_SIZE)
    for example, theirs in enumerate(expected["logits"]):
        text_logits = logits[batch.example_ids == example][IMAGE_TOKENS:-1]
        torch.testing.assert_close(text_logits, torch.from_numpy(theirs[: len(text_logits)]), atol=1e-5, rtol=0)


def window_loss(model: nn.Module, expected: Arrays, batch: Batch) -> tuple[Float[Tensor, " examples"], Tensor]:
    sums = per_example_loss_sums(
        model,
        target_states(model, batch),
        batch,
        vocabulary_size=VOCABULARY_SIZE,
        label_smoothing=float(expected["label_smoothing"]),
    )
    num_targets = int(batch.num_targets.sum())
    weights = example_loss_weights(batch, Normalization.example, num_examples=3, num_targets=num_targets)
    return sums / batch.num_targets, (sums * weights).sum()


@pytest.mark.parametrize("row_tokens", [None, 80])
def test_loss_and_every_gradient_are_the_originals(
    model: nn.Module, generation: int, expected: Arrays, row_tokens: int | None
) -> None:
    means, loss = window_loss(model, expected, batch_of(expected, row_tokens=row_tokens))
    loss.backward()
    torch.testing.assert_close(means, torch.from_numpy(expected["per_example_loss"]), atol=0, rtol=1e-6)
    assert loss.item() == pytest.approx(float(expected["loss"]), rel=1e-6)
    theirs = by_transformers_name(expected, "grad/", generation)
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        # The gradient of the image encoder's key biases is zero but for rounding.
        assert (ours[name] - gradient).norm() <= 1e-5 * gradient.norm() + 1e-7, name


def test_greedy_ids_are_the_originals(model: nn.Module, expected: Arrays) -> None:
    prefixes = batch_of(expected, with_suffix=False)
    found = generate(model, prefixes, max_new_tokens=6, num_beams=1, eos_id=-1, vocabulary_size=VOCABULARY_SIZE)
    assert found == expected["greedy_tokens"].tolist()
