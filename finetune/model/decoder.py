"""Gemma's decoder layers, driven from outside: transformers' weights, our attention.

transformers' own attention has several ways to be silently wrong for PaliGemma (a missing mask, a flash kernel that
ignores it, sliding windows that the original does not have). Each linear is called as a module, so adapters injected
into it take part.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.utils.checkpoint import checkpoint

from finetune.model.attention import masked_attention

Remember = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Take layer i's new keys and values [rows, key_heads, tokens, head_dim]; return all those to attend to."""


def attend_to_new_only(layer_index: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Remember nothing: the whole sequence is given at once."""
    return key, value


def run_decoder(
    model: nn.Module,
    states: Float[Tensor, "rows tokens hidden"],
    position_ids: Int64[Tensor, "rows tokens"],
    allowed: Bool[Tensor, "rows tokens keys"],
    *,
    remember: Remember = attend_to_new_only,
    checkpoint_layers: bool = False,
    residual_dropout: float = 0.0,
) -> Float[Tensor, "rows tokens hidden"]:
    """Run all layers; the result lacks the final norm.

    Args:
        checkpoint_layers: Keep only each layer's input and compute the rest again in the backward pass, with the same
            dropout.
        residual_dropout: Share of what attention and MLP return that is dropped before it is added, number by number;
            drawn from torch's global random state.
    """
    decoder = language_model(model)
    rotation = rotary_tables(decoder, position_ids)
    for index, layer in enumerate(decoder.layers):
        run = partial(
            _layer,
            layer,
            rotation=rotation,
            allowed=allowed,
            remember=partial(remember, index),
            residual_dropout=residual_dropout,
        )
        states = checkpoint(run, states, use_reentrant=False) if checkpoint_layers else run(states)
    return states


def language_model(model: nn.Module) -> Any:
    """Return transformers' Gemma, without a type: mypy takes every submodule for a Tensor or a Module."""
    inner: Any = model.model
    return inner.language_model


def rotary_tables(
    decoder: Any, position_ids: Int64[Tensor, "rows tokens"]
) -> tuple[Float[Tensor, "rows 1 tokens half"], Float[Tensor, "rows 1 tokens half"]]:
    """Return cosine and sine of each position's angles, in fp32.

    Computed from the configuration: the module's table is a buffer, which casting the model to bf16 would round.
    """
    attention = decoder.layers[0].self_attn
    exponents = torch.arange(0, attention.head_dim, 2, device=position_ids.device, dtype=torch.float32)
    frequencies = 1.0 / decoder.config.rope_parameters["rope_theta"] ** (exponents / attention.head_dim)
    angles = position_ids[:, None, :, None].float() * frequencies
    return angles.cos(), angles.sin()


def _layer(
    layer: Any,
    states: Tensor,
    *,
    rotation: tuple[Tensor, Tensor],
    allowed: Tensor,
    remember: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    residual_dropout: float,
) -> Tensor:
    """Run one layer. Gemma 2 also normalises what attention and MLP return, before it is added.

    Source:
        big_vision models/ppp/gemma.py, `Block` (0127fb6): dropout comes after the one norm and before the other.
    """
    attended = _attention(layer.self_attn, layer.input_layernorm(states), rotation, allowed, remember)
    if not hasattr(layer, "pre_feedforward_layernorm"):
        states = states + _drop(attended, residual_dropout)
        transformed: Tensor = layer.mlp(layer.post_attention_layernorm(states))
        return states + _drop(transformed, residual_dropout)
    states = states + _drop(layer.post_attention_layernorm(attended), residual_dropout)
    transformed = _drop(layer.mlp(layer.pre_feedforward_layernorm(states)), residual_dropout)
    normalized: Tensor = layer.post_feedforward_layernorm(transformed)
    return states + normalized


def _drop(states: Tensor, rate: float) -> Tensor:
    # A rate of 0 must draw nothing, or adapters' dropout would change with a setting that is switched off.
    return dropout(states, rate) if rate else states


def _attention(
    attention: Any,
    states: Tensor,
    rotation: tuple[Tensor, Tensor],
    allowed: Tensor,
    remember: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
) -> Tensor:
    query, key, value = (
        project(states).unflatten(-1, (-1, attention.head_dim)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    keys, values = remember(_rotate(key, rotation), value)
    attended = masked_attention(
        _rotate(query, rotation), keys, values, allowed, scale=attention.scaling, soft_cap=attention_soft_cap(attention)
    )
    projected: Tensor = attention.o_proj(attended.transpose(1, 2).flatten(2))
    return projected


def attention_soft_cap(attention: Any) -> float | None:
    """Return the soft-cap of one attention module; Gemma 1 has none."""
    return getattr(attention, "attn_logit_softcapping", None)


def _rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (i, i + half) by their angles, in fp32."""
    cosine, sine = rotation
    first, second = heads.float().chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).to(heads.dtype)
