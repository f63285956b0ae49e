"""Who may look at whom in a row of packed examples, and attention under that rule."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

MaskRule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""(example_ids, position_ids, is_suffix, prefix_ids) -> may query q look at key k; see `prefix_lm_mask`."""


def prefix_lm_mask(
    example_ids: Int64[Tensor, "rows tokens"],
    position_ids: Int64[Tensor, "rows tokens"],
    is_suffix: Bool[Tensor, "rows tokens"],
    prefix_ids: Int64[Tensor, "rows tokens"] | None = None,
) -> Bool[Tensor, "rows tokens tokens"]:
    """Tell which keys (last axis) each query may look at: its own example's prefix, and its suffix up to itself.

    One row with example 0 = I B n | s E, example 1 = I n | E, and padding (x: may look):

                 key   I B n s E   I n E   - -
                 id    0 0 0 0 0   1 1 1  -1-1
        query I 0      x x x . .   . . .   . .     image, BOS, prefix and newline see each other in full,
        query B 0      x x x . .   . . .   . .     and never the suffix
        query n 0      x x x . .   . . .   . .     (the newline predicts s)
        query s 0      x x x x .   . . .   . .     the suffix sees the prefix in full and itself up to here
        query E 0      x x x x x   . . .   . .
        query I 1      . . . . .   x x .   . .     neighbours in a row do not exist for each other
        query E 1      . . . . .   x x x   . .
        query -        . . . . .   . . .   x x     padding sees padding: finite numbers that nobody reads

    Several suffixes on one prefix, s E and t E (all of prefix 0):

                 key   I B n s E t E
                 id    0 0 0 0 0 1 1
        query n        x x x . . . .
        query E 0      x x x x x . .
        query t 1      x x x . . x .     as if the prefix stood right before it; the other suffix does not exist
        query E 1      x x x . . x x

    Args:
        prefix_ids: Whose prefix each token belongs to or continues; None: each example has its own.

    Source:
        big_vision models/proj/paligemma/paligemma.py, `make_attn_mask` (0127fb6); packing is ours.
    """
    same_example = example_ids[:, :, None] == example_ids[:, None, :]
    not_later = position_ids[:, None, :] <= position_ids[:, :, None]
    of_suffix = is_suffix[:, None, :]
    if prefix_ids is None:
        return same_example & (~of_suffix | not_later)
    same_prefix = prefix_ids[:, :, None] == prefix_ids[:, None, :]
    return same_prefix & (~of_suffix | same_example & not_later)


def masked_attention(
    query: Float[Tensor, "rows heads queries head_dim"],
    key: Float[Tensor, "rows key_heads keys head_dim"],
    value: Float[Tensor, "rows key_heads keys head_dim"],
    allowed: Bool[Tensor, "rows queries keys"] | None,
    *,
    scale: float,
    soft_cap: float | None = None,
) -> Float[Tensor, "rows heads queries head_dim"]:
    """Attend with grouped heads: query head h reads key head h // (heads / key_heads), which is never copied.

    Args:
        allowed: At least one key for each query, or the result of that query is undefined. None: all keys.
        scale: Multiplies the scores, before the soft-cap.
        soft_cap: Scores become soft_cap * tanh(score / soft_cap), as in Gemma 2; None: left as they are.
    """
    if soft_cap is None:
        mask = None if allowed is None else allowed[:, None]
        is_grouped = query.shape[1] != key.shape[1]
        if is_grouped and query.shape[2] == 1:
            # One token a row: the heads of a group are laid out as queries of their key head, because CUDA's masked
            # kernels would copy the whole cache for each of them.
            grouped = query.reshape(len(query), key.shape[1], -1, query.shape[3])
            attended = scaled_dot_product_attention(grouped, key, value, attn_mask=mask, scale=scale)
            return attended.reshape(query.shape)
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale, enable_gqa=is_grouped)
    soft_capped: Tensor = _SoftCapped.apply(  # type: ignore[no-untyped-call]
        query, key, value, allowed, scale, soft_cap
    )
    return soft_capped


class _SoftCapped(torch.autograd.Function):
    """Keeps what it is given: scores and weights would take 10 bytes for each pair of query and key."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, scale: float, soft_cap: float
    ) -> Tensor:
        ctx.save_for_backward(query, key, value, allowed)
        ctx.how = (scale, soft_cap)
        return _soft_capped_attention(query, key, value, allowed, scale, soft_cap)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scale, soft_cap = ctx.how
        query, key, value, allowed = ctx.saved_tensors
        query, key, value = (heads.detach().requires_grad_() for heads in (query, key, value))
        with torch.enable_grad():
            attended = _soft_capped_attention(query, key, value, allowed, scale, soft_cap)
        return (*torch.autograd.grad(attended, (query, key, value), gradient), None, None, None)


def _soft_capped_attention(
    query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, scale: float, soft_cap: float
) -> Tensor:
    """Spell attention out, because no fused kernel of torch takes a soft-cap; scores and softmax in fp32 or wider."""
    rows, heads, queries, head_dim = query.shape
    key_heads, keys = key.shape[1:3]
    # The query heads of one group are laid out as further queries of its key head, so that keys are never copied.
    grouped = query.reshape(rows, key_heads, -1, head_dim)
    scores = torch.matmul(grouped, key.transpose(2, 3)).to(torch.promote_types(query.dtype, torch.float32))
    scores = scores.mul(scale / soft_cap).tanh().mul(soft_cap)
    scores = scores.view(rows, heads, queries, keys)
    if allowed is not None:
        scores = scores.masked_fill(~allowed[:, None], -torch.inf)
    weights = scores.softmax(dim=-1).to(value.dtype).view(rows, key_heads, -1, keys)
    return torch.matmul(weights, value).view(rows, heads, queries, head_dim)
