"""Pixels to image tokens: SigLIP's layers, driven from outside as the decoder's are, then the connector."""

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from finetune.data.packing import Batch
from finetune.model.checkpointing import run_block, run_layer
from finetune.model.layers import enter
from finetune.settings import Checkpointing


def embed_images(
    model: nn.Module, batch: Batch, *, rung: Checkpointing = Checkpointing.none
) -> Float[Tensor, "images tokens hidden"]:
    """Turn a batch's different images into what takes the place of their placeholders in the decoder."""
    inner: Any = model.model
    connector = inner.multi_modal_projector
    if batch.image_states is None:
        states = image_states(model, batch.pixels, rung=rung)
    else:
        # They were kept in a format of their own.
        states = batch.image_states.to(next(connector.parameters()).dtype)
    image_tokens: Tensor = connector(states)
    return image_tokens


def image_states(
    model: nn.Module, pixels: UInt8[Tensor, "images 3 height width"], *, rung: Checkpointing = Checkpointing.none
) -> Float[Tensor, "images tokens channels"]:
    """Return what the image encoder says of resized images; the connector is yet to come.

    Source:
        big_vision pp/ops_image.py, `value_range` (0127fb6).
    """
    return normalized_image_states(model, pixels.float() / 127.5 - 1, rung=rung)


def normalized_image_states(
    model: nn.Module, pixels: Float[Tensor, "images 3 height width"], *, rung: Checkpointing = Checkpointing.none
) -> Float[Tensor, "images tokens channels"]:
    """Read images with pixels in [-1, 1]. One token a patch, row by row; no class token.

    Keeps nothing for a backward pass where no parameter of the encoder trains, even though the connector may.
    """
    tower = vision_tower(model)
    trains = any(parameter.requires_grad for parameter in tower.parameters())
    with torch.set_grad_enabled(trains and torch.is_grad_enabled()):
        return patch_states(tower, pixels, rung=rung if trains else Checkpointing.none)


def patch_states(
    tower: Any, pixels: Float[Tensor, "images 3 height width"], *, rung: Checkpointing = Checkpointing.none
) -> Float[Tensor, "images tokens channels"]:
    """Return what SigLIP says of each patch, after its final norm."""
    states: Tensor = tower.embeddings(pixels)
    for index, layer in enumerate(tower.encoder.layers):
        run = partial(run_layer, partial(_layer, layer, rung=rung), index=index, rung=rung)
        states = enter(layer, run, states)
    normalized: Tensor = tower.post_layernorm(states)
    return normalized


def vision_tower(model: nn.Module) -> Any:
    """Return transformers' SigLIP; earlier releases keep it one level further down."""
    inner: Any = model.model
    return getattr(inner.vision_tower, "vision_model", inner.vision_tower)


def _layer(layer: Any, states: Tensor, *, rung: Checkpointing) -> Tensor:
    states = states + _attention(layer.self_attn, layer.layer_norm1(states))
    return states + run_block(lambda given: layer.mlp(layer.layer_norm2(given)), states, rung=rung)


def _attention(attention: Any, states: Tensor) -> Tensor:
    query, key, value = (
        project(states).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    attended = scaled_dot_product_attention(query, key, value, scale=attention.scale)
    projected: Tensor = attention.out_proj(attended.transpose(1, 2).flatten(2))
    return projected
