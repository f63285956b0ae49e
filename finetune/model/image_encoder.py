"""Pixels to image tokens: SigLIP's layers, driven from outside as the decoder's are, then the connector."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint


def embed_images(
    model: nn.Module, pixels: UInt8[Tensor, "images 3 height width"], *, checkpoint_layers: bool = False
) -> Float[Tensor, "images tokens hidden"]:
    """Turn resized images into what takes the place of their placeholders in the decoder.

    Source:
        big_vision pp/ops_image.py, `value_range` (0127fb6).
    """
    return embed_normalized(model, pixels.float() / 127.5 - 1, checkpoint_layers=checkpoint_layers)


def embed_normalized(
    model: nn.Module, pixels: Float[Tensor, "images 3 height width"], *, checkpoint_layers: bool = False
) -> Float[Tensor, "images tokens hidden"]:
    """Embed images with pixels in [-1, 1]. One token a patch, row by row; no class token.

    Keeps nothing for a backward pass where no parameter of the encoder trains, even though the connector may.
    """
    inner: Any = model.model
    tower = vision_tower(model)
    trains = any(parameter.requires_grad for parameter in tower.parameters())
    with torch.set_grad_enabled(trains and torch.is_grad_enabled()):
        states = patch_states(tower, pixels, checkpoint_layers=checkpoint_layers and trains)
    image_tokens: Tensor = inner.multi_modal_projector(states)
    return image_tokens


def patch_states(
    tower: Any, pixels: Float[Tensor, "images 3 height width"], *, checkpoint_layers: bool = False
) -> Float[Tensor, "images tokens channels"]:
    """Return what SigLIP says of each patch, after its final norm."""
    states: Tensor = tower.embeddings(pixels)
    for layer in tower.encoder.layers:
        run = partial(_layer, layer)
        states = checkpoint(run, states, use_reentrant=False) if checkpoint_layers else run(states)
    normalized: Tensor = tower.post_layernorm(states)
    return normalized


def vision_tower(model: nn.Module) -> Any:
    """Return transformers' SigLIP; earlier releases keep it one level further down."""
    inner: Any = model.model
    return getattr(inner.vision_tower, "vision_model", inner.vision_tower)


def _layer(layer: Any, states: Tensor) -> Tensor:
    states = states + _attention(layer.self_attn, layer.layer_norm1(states))
    transformed: Tensor = layer.mlp(layer.layer_norm2(states))
    return states + transformed


def _attention(attention: Any, states: Tensor) -> Tensor:
    query, key, value = (
        project(states).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    attended = scaled_dot_product_attention(query, key, value, scale=attention.scale)
    projected: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
    return projected
