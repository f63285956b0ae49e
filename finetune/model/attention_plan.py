"""Which kernel attends in a training forward, chosen in one place by device, format, soft-cap and the batch's layout.

| arrangement of the batch                 | soft-cap | CPU       | CUDA                                     |
|------------------------------------------|----------|-----------|------------------------------------------|
| one example a row, equal prefixes        | none     | two calls | two calls                                |
|                                          | yes      | two calls | flex                                     |
| packed, or prefixes of different lengths | none     | masked    | varlen in half precision, masked in fp32 |
|                                          | yes      | masked    | flex                                     |
| several suffixes on one prefix           | either   | masked    | flex                                     |

All compute what `masked_attention` under `prefix_lm_mask` does, which is the reference that tests hold them against.
"""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from finetune.data.layout import Arrangement
from finetune.data.packing import Batch
from finetune.model.attention import MaskRule, masked_attention, prefix_lm_mask
from finetune.model.flex import attend_flex, flex_mask
from finetune.model.varlen import attend_varlen, attend_varlen_tails, has_varlen


class Kernel(Enum):
    """A way to compute prefix-LM attention."""

    two_calls = "two calls without a mask"
    varlen = "two varlen calls without a mask"
    flex = "FlexAttention"
    masked = "a mask"


@runtime_checkable
class Attend(Protocol):
    """Attention among [rows, heads, tokens, head_dim]; key and value may have fewer heads."""

    def __call__(
        self, query: Tensor, key: Tensor, value: Tensor, *, scale: float, soft_cap: float | None
    ) -> Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionPlan:
    """How one batch attends, in every layer alike.

    Args:
        everywhere: With every position as a query.
        tails: With the positions of `tail_rows` alone as queries, all keys given.
        tail_rows: Flat positions; rows need not be those of the batch.
    """

    everywhere: Attend
    tails: Attend
    tail_rows: Int64[Tensor, "tail_rows tail"]


def plan_attention(batch: Batch, kernel: Kernel, mask_rule: MaskRule = prefix_lm_mask) -> AttentionPlan:
    """Prepare a kernel for a batch; masks and block masks are made once here, not in every layer.

    Args:
        mask_rule: For the masked kernel.
    """
    layout = batch.layout
    if kernel is Kernel.two_calls:
        assert layout.equal_prefix is not None
        return AttentionPlan(
            everywhere=partial(_attend_in_two_calls, prefix=layout.equal_prefix),
            tails=_attend_causally,
            tail_rows=layout.tail_rows,
        )
    if kernel is Kernel.varlen:
        assert layout.segments is not None
        return AttentionPlan(
            everywhere=partial(attend_varlen, segments=layout.segments),
            tails=partial(attend_varlen_tails, segments=layout.segments),
            tail_rows=layout.segments.tail_rows[None],
        )
    make = _flex if kernel is Kernel.flex else partial(_masked, mask_rule=mask_rule)
    everywhere, tails = make(batch, layout.tail_rows % batch.input_ids.shape[1])
    return AttentionPlan(everywhere=everywhere, tails=tails, tail_rows=layout.tail_rows)


def choose_kernel(arrangement: Arrangement, device: torch.device, dtype: torch.dtype, soft_cap: float | None) -> Kernel:
    """Return the best kernel that computes exactly this attention.

    Args:
        dtype: What queries and keys arrive in.
    """
    is_cuda = device.type == "cuda"
    if is_cuda and soft_cap is not None:
        return Kernel.flex
    if arrangement is Arrangement.equal:
        return Kernel.two_calls
    if not is_cuda:
        return Kernel.masked
    if arrangement is Arrangement.tree:
        return Kernel.flex
    return Kernel.varlen if has_varlen(device, dtype) else Kernel.masked


def describe_kernels(device: torch.device, dtype: torch.dtype, soft_cap: float | None) -> str:
    """Say in one line which kernel each arrangement of rows is computed with."""
    chosen = {arrangement: choose_kernel(arrangement, device, dtype, soft_cap) for arrangement in Arrangement}
    return "; ".join(f"{arrangement.value}: {kernel.value}" for arrangement, kernel in chosen.items())


def _attend_in_two_calls(
    query: Tensor, key: Tensor, value: Tensor, *, prefix: int, scale: float, soft_cap: float | None
) -> Tensor:
    """See `finetune.data.layout`: heads on the prefix in full, tails on everything, causal."""
    head = masked_attention(
        query[:, :, : prefix - 1], key[:, :, :prefix], value[:, :, :prefix], None, scale=scale, soft_cap=soft_cap
    )
    tail = _attend_causally(query[:, :, prefix - 1 :], key, value, scale=scale, soft_cap=soft_cap)
    # Joined token by token, the layout that the next linear reads.
    return torch.cat([head.transpose(1, 2), tail.transpose(1, 2)], dim=1).transpose(1, 2)


def _attend_causally(query: Tensor, key: Tensor, value: Tensor, *, scale: float, soft_cap: float | None) -> Tensor:
    """Attend with the last queries of rows: the last one sees all keys, each before it one less."""
    queries, keys = query.shape[2], key.shape[2]
    allowed = torch.ones(queries, keys, dtype=torch.bool, device=query.device).tril(keys - queries)
    if soft_cap is None:
        # Not is_causal=True, which aligns the upper left corners. A compiled layer cannot make this kind of tensor, and
        # tails are short enough for a mask.
        has_bias = query.is_cuda and not torch.compiler.is_compiling()
        bias = _lower_right(queries, keys) if has_bias else allowed
        is_grouped = query.shape[1] != key.shape[1]
        return scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale, enable_gqa=is_grouped)
    return masked_attention(query, key, value, allowed.expand(len(query), -1, -1), scale=scale, soft_cap=soft_cap)


def _lower_right(queries: int, keys: int) -> Tensor:
    # Its import brings the whole of torch's compiler, for which a process on a CPU would wait seconds.
    from torch.nn.attention.bias import causal_lower_right

    return causal_lower_right(queries, keys)


def _masked(batch: Batch, tail_columns: Tensor, *, mask_rule: MaskRule) -> tuple[Attend, Attend]:
    allowed = mask_rule(batch.example_ids, batch.position_ids, batch.is_suffix, batch.prefix_ids)
    of_tails = allowed.gather(1, tail_columns[:, :, None].expand(-1, -1, allowed.shape[2]))
    return partial(masked_attention, allowed=allowed), partial(masked_attention, allowed=of_tails)


def _flex(batch: Batch, tail_columns: Tensor) -> tuple[Attend, Attend]:
    every_column = torch.arange(batch.input_ids.shape[1], device=tail_columns.device).expand(len(tail_columns), -1)
    everywhere, tails = (flex_mask(batch, columns) for columns in (every_column, tail_columns))
    return partial(attend_flex, mask=everywhere), partial(attend_flex, mask=tails)
