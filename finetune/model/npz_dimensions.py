"""The dimensions of a PaliGemma, read from the shapes of the original's arrays. Imports without torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

# Axes of the arrays that dimensions are read from: width, heads and so on, as the layout names them.
_NUM_AXES = {
    "img/embedding/kernel": 4,
    "img/pos_embedding": 3,
    "img/Transformer/encoderblock/MlpBlock_0/Dense_0/kernel": 3,
    "img/Transformer/encoderblock/MultiHeadDotProductAttention_0/query/kernel": 4,
    "llm/embedder/input_embedding": 2,
    "llm/layers/attn/attn_vec_einsum/w": 4,
    "llm/layers/mlp/linear": 3,
}
_FUSED = "llm/layers/attn/qkv_einsum/w"
_KEYS_VALUES = "llm/layers/attn/kv_einsum/w"
_POST_NORM = "llm/layers/post_attention_norm/scale"
# width, heads, head_dim
_GEMMA2_27B = (4608, 32, 128)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimensions:
    """Everything that decides the shapes of a PaliGemma.

    Args:
        patch_size: Side of a patch in pixels.
        num_image_tokens: Of one square image: a square number.
        vocabulary_size: Rows of the original's table; transformers' has some more.
        generation: 1 (Gemma) or 2 (Gemma 2, which also norms what attention and MLP return).
        is_attention_fused: Whether one array holds queries, keys and values, as the original writes where each query
            head has a key head of its own.
    """

    patch_size: int
    num_image_tokens: int
    vision_width: int
    vision_depth: int
    vision_mlp: int
    vision_heads: int
    vocabulary_size: int
    decoder_width: int
    decoder_depth: int
    decoder_mlp: int
    decoder_heads: int
    decoder_key_heads: int
    head_dim: int
    generation: int
    is_attention_fused: bool

    @property
    def image_size(self) -> int:
        """Side of the square image in pixels."""
        return math.isqrt(self.num_image_tokens) * self.patch_size

    @property
    def num_rows(self) -> int:
        """Rows of the table in transformers' layout: one for <image>, then up to a multiple of 64.

        257 152 become 257 216, as in the published folders.
        """
        return -(-(self.vocabulary_size + 1) // 64) * 64

    @property
    def query_scale_divisor(self) -> int:
        """What queries are divided by the square root of: the head's width.

        Gemma 2 27B alone divides by sqrt(width / heads), which is another number there. Nothing in the arrays says so,
        hence the model is recognised by its dimensions.

        Source:
            big_vision models/ppp/gemma.py (0127fb6), `get_config("gemma2_27b")`: the only variant that does.
        """
        if self.generation == 2 and (self.decoder_width, self.decoder_heads, self.head_dim) == _GEMMA2_27B:
            return self.decoder_width // self.decoder_heads
        return self.head_dim


def read_dimensions(shapes: Mapping[str, tuple[int, ...]]) -> Dimensions:
    """Read the dimensions from the shapes of all arrays, by their names without `params/`.

    Raises:
        ValueError: If an array is missing that they are read from, or cannot be part of a PaliGemma, by name.
    """
    keys_values = _FUSED if _FUSED in shapes else _KEYS_VALUES
    kernel, positions, dense, query, table, out, linear, keys = (
        _shape(shapes, name, num_axes) for name, num_axes in (*_NUM_AXES.items(), (keys_values, 5))
    )
    patch_height, patch_width, num_channels, _ = kernel
    if patch_height != patch_width or num_channels != 3:
        raise ValueError(f"the array img/embedding/kernel has the shape {kernel}; patches are square, of 3 channels")
    if math.isqrt(positions[1]) ** 2 != positions[1]:
        raise ValueError(f"the array img/pos_embedding has {positions[1]} positions, which is no square image")
    return Dimensions(
        patch_size=patch_height,
        num_image_tokens=positions[1],
        vision_width=query[1],
        vision_depth=query[0],
        vision_mlp=dense[2],
        vision_heads=query[2],
        vocabulary_size=table[0],
        decoder_width=table[1],
        decoder_depth=out[0],
        decoder_mlp=linear[1],
        decoder_heads=out[1],
        decoder_key_heads=keys[2],
        head_dim=out[2],
        generation=2 if _POST_NORM in shapes else 1,
        is_attention_fused=keys_values == _FUSED,
    )


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str, num_axes: int) -> tuple[int, ...]:
    if name not in shapes:
        raise ValueError(f"the array {name} is missing")
    if len(shapes[name]) != num_axes or 0 in shapes[name]:
        raise ValueError(f"the array {name} has the shape {shapes[name]}; {num_axes} axes are expected")
    return shapes[name]
