"""Where each array of the original's checkpoint goes in transformers' PaliGemma. Imports without torch.

The original stacks the layers of an array on its first axis, keeps heads as axes of their own and multiplies from the
left; torch has one weight a layer, [out, in]. So each rule takes one layer's piece, permutes its axes and flattens it:

    array                              piece        axes       parameter
    .../query/kernel [L, W, N, H]      [W, N, H]    (1, 2, 0)  q_proj.weight [N*H, W]
    llm/.../kv_einsum/w [L, 2, K, W, H]  [K, W, H]  (0, 2, 1)  k_proj.weight and v_proj.weight [K*H, W]

Only permutations and reshapes: weights keep every bit both ways, and gradients map as weights do.

Source:
    big_vision models/vit.py, models/ppp/gemma.py (0127fb6).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from finetune.model.npz_dimensions import Dimensions

EMBEDDING = "llm/embedder/input_embedding"

_TOWER = "model.vision_tower"
_IMAGE_LAYER = f"{_TOWER}.encoder.layers.{{layer}}"
_DECODER_LAYER = "model.language_model.layers.{layer}"
_BLOCK = "img/Transformer/encoderblock"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayRule:
    """One array of the checkpoint.

    Args:
        array: Its name, without `params/`.
        parameters: What it becomes in transformers, with {layer} where layers are stacked; several share an array
            along one more axis, after that of the layers.
        axes: How a piece (one layer of one parameter) is permuted before it takes the parameter's shape.
    """

    array: str
    shape: tuple[int, ...]
    parameters: tuple[str, ...]
    axes: tuple[int, ...]

    @property
    def is_stacked(self) -> bool:
        """Whether the first axis is that of the layers."""
        return "{layer}" in self.parameters[0]

    @property
    def num_layers(self) -> int:
        """How many layers it holds; 1 where it is not stacked."""
        return self.shape[0] if self.is_stacked else 1

    @property
    def piece_shape(self) -> tuple[int, ...]:
        """The shape of one layer of one parameter, before it is permuted."""
        return self.shape[self.is_stacked + (len(self.parameters) > 1) :]

    def names(self, layer: int) -> tuple[str, ...]:
        """The parameters of one layer."""
        return tuple(name.format(layer=layer) for name in self.parameters)


def array_rules(dimensions: Dimensions) -> tuple[ArrayRule, ...]:
    """Return one rule for every array of a checkpoint of these dimensions."""
    return (*_image_rules(dimensions), *_decoder_rules(dimensions))


def _image_rules(d: Dimensions) -> Iterator[ArrayRule]:
    width, depth, head_dim = d.vision_width, d.vision_depth, d.vision_width // d.vision_heads
    patch, embeddings = (d.patch_size, d.patch_size, 3, width), f"{_TOWER}.embeddings"
    yield _plain("img/embedding/kernel", patch, f"{embeddings}.patch_embedding.weight", axes=(3, 2, 0, 1))
    yield _plain("img/embedding/bias", (width,), f"{embeddings}.patch_embedding.bias")
    positions = (1, d.num_image_tokens, width)
    yield _plain("img/pos_embedding", positions, f"{embeddings}.position_embedding.weight")
    for index in range(2):
        norm, theirs = f"{_IMAGE_LAYER}.layer_norm{index + 1}", f"{_BLOCK}/LayerNorm_{index}"
        yield _plain(f"{theirs}/scale", (depth, width), f"{norm}.weight")
        yield _plain(f"{theirs}/bias", (depth, width), f"{norm}.bias")
        sizes = (width, d.vision_mlp) if index == 0 else (d.vision_mlp, width)
        dense, theirs = f"{_IMAGE_LAYER}.mlp.fc{index + 1}", f"{_BLOCK}/MlpBlock_0/Dense_{index}"
        yield _plain(f"{theirs}/kernel", (depth, *sizes), f"{dense}.weight", axes=(1, 0))
        yield _plain(f"{theirs}/bias", (depth, sizes[1]), f"{dense}.bias")
    heads = (d.vision_heads, head_dim)
    for name, ours in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
        attention = f"{_BLOCK}/MultiHeadDotProductAttention_0/{name}"
        linear = f"{_IMAGE_LAYER}.self_attn.{ours}"
        yield _plain(f"{attention}/kernel", (depth, width, *heads), f"{linear}.weight", axes=(1, 2, 0))
        yield _plain(f"{attention}/bias", (depth, *heads), f"{linear}.bias")
    attention, linear = f"{_BLOCK}/MultiHeadDotProductAttention_0/out", f"{_IMAGE_LAYER}.self_attn.out_proj"
    yield _plain(f"{attention}/kernel", (depth, *heads, width), f"{linear}.weight", axes=(2, 0, 1))
    yield _plain(f"{attention}/bias", (depth, width), f"{linear}.bias")
    yield _plain("img/Transformer/encoder_norm/scale", (width,), f"{_TOWER}.post_layernorm.weight")
    yield _plain("img/Transformer/encoder_norm/bias", (width,), f"{_TOWER}.post_layernorm.bias")
    connector = "model.multi_modal_projector.linear"
    yield _plain("img/head/kernel", (width, d.decoder_width), f"{connector}.weight", axes=(1, 0))
    yield _plain("img/head/bias", (d.decoder_width,), f"{connector}.bias")


def _decoder_rules(d: Dimensions) -> Iterator[ArrayRule]:
    width, depth, mlp = d.decoder_width, d.decoder_depth, d.decoder_mlp
    yield _plain(EMBEDDING, (d.vocabulary_size, width), "model.language_model.embed_tokens.weight")
    yield from _attention_rules(d)
    gates = (f"{_DECODER_LAYER}.mlp.gate_proj.weight", f"{_DECODER_LAYER}.mlp.up_proj.weight")
    yield _plain("llm/layers/mlp/gating_einsum", (depth, 2, width, mlp), *gates, axes=(1, 0))
    yield _plain("llm/layers/mlp/linear", (depth, mlp, width), f"{_DECODER_LAYER}.mlp.down_proj.weight", axes=(1, 0))
    norms = {"pre_attention_norm": "input_layernorm", "pre_ffw_norm": "post_attention_layernorm"}
    if d.generation == 2:
        norms |= {
            "pre_ffw_norm": "pre_feedforward_layernorm",
            "post_attention_norm": "post_attention_layernorm",
            "post_ffw_norm": "post_feedforward_layernorm",
        }
    for name, ours in norms.items():
        yield _plain(f"llm/layers/{name}/scale", (depth, width), f"{_DECODER_LAYER}.{ours}.weight")
    yield _plain("llm/final_norm/scale", (width,), "model.language_model.norm.weight")


def _attention_rules(d: Dimensions) -> Iterator[ArrayRule]:
    width, depth, head_dim, attention = d.decoder_width, d.decoder_depth, d.head_dim, "llm/layers/attn"
    query, key, value, out = (f"{_DECODER_LAYER}.self_attn.{name}_proj.weight" for name in "qkvo")
    heads, key_heads = (d.decoder_heads, width, head_dim), (d.decoder_key_heads, width, head_dim)
    if d.is_attention_fused:
        yield _plain(f"{attention}/qkv_einsum/w", (depth, 3, *heads), query, key, value, axes=(0, 2, 1))
    else:
        yield _plain(f"{attention}/q_einsum/w", (depth, *heads), query, axes=(0, 2, 1))
        yield _plain(f"{attention}/kv_einsum/w", (depth, 2, *key_heads), key, value, axes=(0, 2, 1))
    outs = (depth, d.decoder_heads, head_dim, width)
    yield _plain(f"{attention}/attn_vec_einsum/w", outs, out, axes=(2, 0, 1))


def _plain(array: str, shape: tuple[int, ...], *parameters: str, axes: tuple[int, ...] | None = None) -> ArrayRule:
    """Return a rule; without `axes`, a piece keeps the order of its axes."""
    num_axes = len(shape) - ("{layer}" in parameters[0]) - (len(parameters) > 1)
    return ArrayRule(array=array, shape=shape, parameters=parameters, axes=axes or tuple(range(num_axes)))
