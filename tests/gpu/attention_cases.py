"""Random batches of each arrangement, and the masked reference that every attention kernel is held against."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finetune.data.layout import Arrangement
from finetune.data.packing import Batch, pack
from finetune.model.attention import prefix_lm_mask
from finetune.model.attention_plan import AttentionPlan
from finetune.types import TokenizedExample

SCALE = 0.3
# Prefix and suffix lengths, and columns of a row.
SHAPES: dict[Arrangement, tuple[list[tuple[int, int]], int | None]] = {
    Arrangement.equal: ([(7, 3), (7, 1), (7, 5)], None),
    Arrangement.packed: ([(5, 4), (9, 1), (2, 6), (6, 3), (3, 0)], 21),
    Arrangement.tree: ([(6, 3), (6, 1), (4, 2), (6, 4)], 24),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attended:
    """What a kernel made of one case: outputs by token without padding, and gradients for query, key and value."""

    everywhere: Tensor
    tails: Tensor
    gradients: tuple[Tensor, ...]


def batch_of(arrangement: Arrangement, times: int = 1) -> Batch:
    """Return a batch of one arrangement; `times` lengthens everything."""
    shapes, row_tokens = SHAPES[arrangement]
    examples = [
        TokenizedExample(
            sample_id=str(number),
            input_ids=np.array([prefix] * prefix * times + [1] * suffix * times, dtype=np.int64),
            is_suffix=np.arange((prefix + suffix) * times) >= prefix * times,
            num_image_tokens=0,
        )
        for number, (prefix, suffix) in enumerate(shapes)
    ]
    batch = pack(
        examples,
        torch.zeros((0, 3, 1, 1), dtype=torch.uint8),
        image_token_id=-1,
        row_tokens=None if row_tokens is None else row_tokens * times,
        shares_prefixes=arrangement is Arrangement.tree,
    )
    assert batch.layout.arrangement is arrangement
    return batch


def heads_for(
    batch: Batch, num_heads: Sequence[int], head_dim: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, ...]:
    """Return random query, key and value [rows, heads, tokens, head_dim]."""
    rows, tokens = batch.input_ids.shape
    generator = torch.Generator().manual_seed(0)
    made = (torch.randn(rows, tokens, count, head_dim, generator=generator) for count in num_heads)
    return tuple(one.transpose(1, 2).to(device, dtype).requires_grad_() for one in made)


def attended_by(batch: Batch, plan: AttentionPlan, heads: tuple[Tensor, ...], soft_cap: float | None) -> Attended:
    """Run a plan as the decoder does, once over all positions and once over the tails."""
    query, key, value = heads
    everywhere = plan.everywhere(query, key, value, scale=SCALE, soft_cap=soft_cap)
    by_token = query.transpose(1, 2).flatten(0, 1)
    tails = plan.tails(by_token[plan.tail_rows].transpose(1, 2), key, value, scale=SCALE, soft_cap=soft_cap)
    # What each position has got, once, so that plans with other rows of tails can be compared.
    places = torch.full((len(by_token),), -1, device=query.device)
    places[plan.tail_rows.flatten()] = torch.arange(plan.tail_rows.numel(), device=query.device)
    places = places[batch.example_ids.flatten() >= 0]
    placed = tails.transpose(1, 2).flatten(0, 1)[places[places >= 0]]
    weights = torch.linspace(-1, 1, everywhere.shape[-1], device=query.device, dtype=torch.float64)
    # What padding sees is up to the kernel.
    is_token = batch.example_ids >= 0
    by_token = everywhere.transpose(1, 2)[is_token]
    loss = (by_token * weights).double().sin().sum() + (placed * weights).double().cos().sum()
    return Attended(
        everywhere=by_token.detach(), tails=placed.detach(), gradients=torch.autograd.grad(loss, (query, key, value))
    )


def reference(batch: Batch, heads: tuple[Tensor, ...], soft_cap: float | None) -> Attended:
    """Spell attention out under the mask, in float64."""
    mask = prefix_lm_mask(batch.example_ids, batch.position_ids, batch.is_suffix, batch.prefix_ids)

    def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
        group = query.shape[1] // key.shape[1]
        scores = query @ key.repeat_interleave(group, dim=1).transpose(2, 3) * SCALE
        if soft_cap is not None:
            scores = soft_cap * torch.tanh(scores / soft_cap)
        weights = scores.masked_fill(~allowed[:, None], -torch.inf).softmax(dim=-1)
        return weights @ value.repeat_interleave(group, dim=1)

    columns = batch.layout.tail_rows % batch.input_ids.shape[1]
    of_tails = mask.gather(1, columns[:, :, None].expand(-1, -1, mask.shape[2]))
    plan = AttentionPlan(
        everywhere=lambda query, key, value, *, scale, soft_cap: attend(query, key, value, mask),
        tails=lambda query, key, value, *, scale, soft_cap: attend(query, key, value, of_tails),
        tail_rows=batch.layout.tail_rows,
    )
    doubled = tuple(one.detach().double().requires_grad_() for one in heads)
    return attended_by(batch, plan, doubled, soft_cap)
