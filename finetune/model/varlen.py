"""Prefix-LM attention over packed examples by torch's flash kernel for sequences of different lengths: no mask.

The kernel aligns a causal call at the lower right corner, and takes fewer key heads than query heads.
"""

import inspect
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from finetune.data.layout import Segments


@lru_cache
def has_varlen(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this torch has the kernel, with grouped heads, for tensors like these."""
    is_half = dtype in (torch.bfloat16, torch.float16)
    if device.type != "cuda" or not is_half or find_spec("torch.nn.attention.varlen") is None:
        return False
    from torch.nn.attention.varlen import varlen_attn

    return "enable_gqa" in inspect.signature(varlen_attn).parameters and torch.cuda.get_device_capability(device) >= (
        8,
        0,
    )


def attend_varlen(
    query: Tensor, key: Tensor, value: Tensor, *, segments: Segments, scale: float, soft_cap: float | None
) -> Tensor:
    """Attend with every position as a query: [rows, heads, tokens, head_dim], as `masked_attention` does."""
    rows, _, tokens, _ = query.shape
    queries, keys, values = (_flat(heads) for heads in (query, key, value))
    in_prefix = segments.prefix_rows
    heads = _varlen(
        queries.index_select(0, segments.head_rows),
        keys.index_select(0, in_prefix),
        values.index_select(0, in_prefix),
        (segments.head_ends, segments.prefix_ends),
        (segments.longest_head, segments.longest_prefix),
        scale=scale,
        soft_cap=soft_cap,
    )
    tails = _tails(queries.index_select(0, segments.tail_rows), keys, values, segments, scale, soft_cap)
    joined = torch.cat([heads, tails]).index_select(0, segments.joined)
    return joined.reshape(rows, tokens, *joined.shape[1:]).transpose(1, 2)


def attend_varlen_tails(
    query: Tensor, key: Tensor, value: Tensor, *, segments: Segments, scale: float, soft_cap: float | None
) -> Tensor:
    """Attend with the tails alone as queries: [1, heads, tails, head_dim]."""
    return _tails(_flat(query), _flat(key), _flat(value), segments, scale, soft_cap)[None].transpose(1, 2)


def _tails(
    queries: Tensor, keys: Tensor, values: Tensor, segments: Segments, scale: float, soft_cap: float | None
) -> Tensor:
    return _varlen(
        queries,
        keys,
        values,
        (segments.tail_ends, segments.ends),
        (segments.longest_tail, segments.longest),
        scale=scale,
        soft_cap=soft_cap,
        # No limit to the left, nothing to the right of the diagonal.
        window_size=(-1, 0),
    )


def _flat(heads: Tensor) -> Tensor:
    """Return [rows, heads, tokens, head_dim] as [rows * tokens, heads, head_dim]."""
    return heads.transpose(1, 2).flatten(0, 1)


def _varlen(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    ends: tuple[Tensor, Tensor],
    longest: tuple[int, int],
    *,
    scale: float,
    soft_cap: float | None,
    **window: Any,
) -> Tensor:
    from torch.nn.attention.varlen import varlen_attn

    assert soft_cap is None, "the varlen kernel knows no soft-cap"
    is_grouped = queries.shape[1] != keys.shape[1]
    attended = varlen_attn(queries, keys, values, *ends, *longest, scale=scale, enable_gqa=is_grouped, **window)
    assert isinstance(attended, Tensor)
    return attended
