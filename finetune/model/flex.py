"""Prefix-LM attention by FlexAttention: the one fused kernel of torch that takes a soft-cap, and any mask.

On a CPU it runs uncompiled, for tests; its compiled form has no backward pass there.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from finetune.data.packing import Batch


def flex_mask(batch: Batch, columns: Int64[Tensor, "rows queries"]) -> Any:
    """Return the block mask of `prefix_lm_mask` for the queries at some columns of each row, with all keys."""
    from torch.nn.attention.flex_attention import create_block_mask

    example_ids, prefix_ids, is_suffix = batch.example_ids, batch.prefix_ids, batch.is_suffix
    position_ids = batch.position_ids

    rows, keys = batch.input_ids.shape
    return create_block_mask(
        # A lambda, and one expression: the kernel is compiled from it.
        lambda row, head, query, key: (
            (prefix_ids[row, columns[row, query]] == prefix_ids[row, key])
            & (
                ~is_suffix[row, key]
                | (example_ids[row, columns[row, query]] == example_ids[row, key])
                & (position_ids[row, key] <= position_ids[row, columns[row, query]])
            )
        ),
        rows,
        None,
        columns.shape[1],
        keys,
        device=columns.device,
    )


def attend_flex(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Any, scale: float, soft_cap: float | None
) -> Tensor:
    """Attend under a block mask, as `masked_attention` does under a mask."""
    # Inside a compiled layer it is compiled with it.
    attend = _compiled() if query.is_cuda and not torch.compiler.is_compiling() else _uncompiled()
    is_grouped = query.shape[1] != key.shape[1]
    attended: Tensor = attend(
        query,
        key,
        value,
        score_mod=_capping(soft_cap),
        block_mask=mask,
        scale=scale,
        enable_gqa=is_grouped,
    )
    return attended


def _capping(soft_cap: float | None) -> Callable[..., Tensor] | None:
    if soft_cap is None:
        return None
    return lambda score, row, head, query, key: torch.tanh(score / soft_cap) * soft_cap


def _uncompiled() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return flex_attention


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    compiled: Callable[..., Any] = torch.compile(_uncompiled())
    return compiled
