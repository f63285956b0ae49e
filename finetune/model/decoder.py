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

from finetune.model.attention import masked_attention
from finetune.model.attention_plan import Attend, AttentionPlan
from finetune.model.checkpointing import run_block, run_layer
from finetune.model.kernels import normalize, run_mlp
from finetune.model.layers import enter
from finetune.settings import Checkpointing

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
    residual_dropout: float = 0.0,
) -> Float[Tensor, "rows tokens hidden"]:
    """Run all layers under a mask; the result lacks the final norm. For generation, and as a reference.

    Args:
        residual_dropout: As `run_planned_decoder` takes it.
    """
    decoder = language_model(model)
    rotation = rotary_tables(decoder, position_ids)
    attend = partial(masked_attention, allowed=allowed)
    for index, layer in enumerate(decoder.layers):
        attention = partial(_attention, rotation=rotation, attend=attend, remember=partial(remember, index))
        run = partial(_layer, layer, attention=attention, residual_dropout=residual_dropout)
        states = enter(layer, run, states)
    return states


def run_planned_decoder(
    model: nn.Module,
    states: Float[Tensor, "rows tokens hidden"],
    position_ids: Int64[Tensor, "rows tokens"],
    plan: AttentionPlan,
    *,
    wanted_rows: Int64[Tensor, " wanted"] | None = None,
    rung: Checkpointing = Checkpointing.none,
    residual_dropout: float = 0.0,
) -> Float[Tensor, "rows tokens hidden"] | Float[Tensor, "wanted hidden"]:
    """Run all layers over whole examples; the result lacks the final norm.

    Args:
        wanted_rows: Flat positions (row * tokens + column) in the plan's tails, whose states alone are returned: the
            last layer then computes keys and values everywhere and all else where it is wanted. None: all positions.
        rung: What layers compute again in the backward pass, with the same dropout, instead of keeping it.
        residual_dropout: Share of what attention and MLP return that is dropped before it is added, number by number;
            drawn from torch's global random state.
    """
    decoder = language_model(model)
    rotation = rotary_tables(decoder, position_ids)
    attention = partial(_attention, rotation=rotation, attend=plan.everywhere)
    run = partial(_layer, attention=attention, residual_dropout=residual_dropout, rung=rung)
    runs = [partial(run, layer) for layer in decoder.layers]
    if wanted_rows is not None:
        # Where each wanted position stands among the tails. One that is filled up holds a position several times, and
        # what is attended there is the same every time.
        places = torch.zeros(position_ids.numel(), dtype=torch.int64, device=states.device)
        places[plan.tail_rows.flatten()] = torch.arange(plan.tail_rows.numel(), device=states.device)
        wanted = (wanted_rows, places[wanted_rows])
        ending = partial(_last_layer, rotation=rotation, plan=plan, wanted=wanted)
        runs[-1] = partial(ending, decoder.layers[-1], residual_dropout=residual_dropout, rung=rung)
    for index, (layer, run) in enumerate(zip(decoder.layers, runs, strict=True)):
        states = enter(layer, partial(run_layer, run, index=index, rung=rung), states)
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
    attention: Callable[[Any, Tensor], Tensor],
    residual_dropout: float,
    rung: Checkpointing = Checkpointing.none,
) -> Tensor:
    attended = attention(layer.self_attn, normalize(layer.input_layernorm, states))
    return _add(layer, states, attended, residual_dropout, rung)


def _last_layer(
    layer: Any,
    states: Tensor,
    *,
    rotation: tuple[Tensor, Tensor],
    plan: AttentionPlan,
    wanted: tuple[Tensor, Tensor],
    residual_dropout: float,
    rung: Checkpointing,
) -> Tensor:
    """Run a layer for some positions: the others are only looked at, for which keys and values suffice.

    Args:
        wanted: The positions, and where they stand among the plan's tails.
    """
    attention, tail_rows = layer.self_attn, plan.tail_rows
    normalized = normalize(layer.input_layernorm, states)
    key, value = (_heads(project(normalized), attention) for project in (attention.k_proj, attention.v_proj))
    query = _heads(attention.q_proj(normalized.flatten(0, 1)[tail_rows]), attention)
    cosine, sine = (table.flatten(0, 2)[tail_rows][:, None] for table in rotation)
    attended = plan.tails(
        _rotate(query, (cosine, sine)),
        _rotate(key, rotation),
        value,
        scale=attention.scaling,
        soft_cap=attention_soft_cap(attention),
    )
    wanted_rows, places = wanted
    of_wanted = attended.transpose(1, 2).flatten(2).flatten(0, 1)[places]
    return _add(layer, states.flatten(0, 1)[wanted_rows], attention.o_proj(of_wanted), residual_dropout, rung)


def _add(layer: Any, states: Tensor, attended: Tensor, residual_dropout: float, rung: Checkpointing) -> Tensor:
    """Add what attention returned, then the MLP. Gemma 2 also normalises what either returns, before it is added.

    Source:
        big_vision models/ppp/gemma.py, `Block` (0127fb6): dropout comes after the one norm and before the other.
    """
    if not hasattr(layer, "pre_feedforward_layernorm"):
        states = states + _drop(attended, residual_dropout)
        transformed = _transform(layer.post_attention_layernorm, layer.mlp, states, rung)
        return states + _drop(transformed, residual_dropout)
    states = states + _drop(normalize(layer.post_attention_layernorm, attended), residual_dropout)
    transformed = _drop(_transform(layer.pre_feedforward_layernorm, layer.mlp, states, rung), residual_dropout)
    return states + normalize(layer.post_feedforward_layernorm, transformed)


def _transform(norm: Any, mlp: Any, states: Tensor, rung: Checkpointing) -> Tensor:
    return run_block(lambda given: run_mlp(mlp, normalize(norm, given)), states, rung=rung)


def _drop(states: Tensor, rate: float) -> Tensor:
    # A rate of 0 must draw nothing, or adapters' dropout would change with a setting that is switched off.
    return dropout(states, rate) if rate else states


def _attention(
    attention: Any,
    states: Tensor,
    *,
    rotation: tuple[Tensor, Tensor],
    attend: Attend,
    remember: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> Tensor:
    query, key, value = (
        _heads(project(states), attention) for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    query, key = _rotate(query, rotation), _rotate(key, rotation)
    if remember is not None:
        key, value = remember(key, value)
    attended = attend(query, key, value, scale=attention.scaling, soft_cap=attention_soft_cap(attention))
    projected: Tensor = attention.o_proj(attended.transpose(1, 2).flatten(2))
    return projected


def _heads(projected: Tensor, attention: Any) -> Tensor:
    return projected.reshape(*projected.shape[:-1], -1, attention.head_dim).transpose(1, 2)


def attention_soft_cap(attention: Any) -> float | None:
    """Return the soft-cap of one attention module; Gemma 1 has none."""
    return getattr(attention, "attn_logit_softcapping", None)


def attention_dtype(model: nn.Module) -> torch.dtype:
    """Return what queries and keys are computed in now: autocast's format, or else the norms' and the embeddings'."""
    weight: Tensor = language_model(model).embed_tokens.weight
    device = weight.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype


def _rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (i, i + half) by their angles, in fp32."""
    cosine, sine = rotation
    first, second = heads.float().chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).to(heads.dtype)
