from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from finetune.data.packing import Batch
from finetune.model.attention import masked_attention, prefix_lm_mask

WORKED_ROW = """
    x x x . .   . . .   . .
    x x x . .   . . .   . .
    x x x . .   . . .   . .
    x x x x .   . . .   . .
    x x x x x   . . .   . .
    . . . . .   x x .   . .
    . . . . .   x x .   . .
    . . . . .   x x x   . .
    . . . . .   . . .   x x
    . . . . .   . . .   x x
"""


def test_the_mask_is_the_worked_row_of_its_docstring() -> None:
    mask = prefix_lm_mask(
        torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1, -1, -1]]),
        torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2, 0, 0]]),
        torch.tensor([[False, False, False, True, True, False, False, True, False, False]]),
    )
    expected = [[mark == "x" for mark in line.split()] for line in WORKED_ROW.strip().splitlines()]
    assert mask[0].tolist() == expected


@given(seed=st.integers(0, 10_000), num_examples=st.integers(1, 6))
def test_the_mask_is_the_rule_pair_by_pair(
    seed: int, num_examples: int, random_examples: Callable[..., list], batch_of: Callable[..., Batch]
) -> None:
    batch = batch_of(random_examples(num_examples, seed), 40)
    mask = prefix_lm_mask(batch.example_ids, batch.position_ids, batch.is_suffix)
    rows = zip(
        mask.tolist(), batch.example_ids.tolist(), batch.position_ids.tolist(), batch.is_suffix.tolist(), strict=True
    )
    for allowed, owners, positions, is_suffix in rows:
        for query in range(40):
            for key in range(40):
                in_reach = not is_suffix[key] or positions[key] <= positions[query]
                assert allowed[query][key] == (owners[query] == owners[key] and in_reach)


def by_hand(query, key, value, allowed, scale, soft_cap):
    """Attend one query head at a time, in float64."""
    group = query.shape[1] // key.shape[1]
    heads = []
    for head in range(query.shape[1]):
        scores = query[:, head].double() @ key[:, head // group].double().transpose(1, 2) * scale
        if soft_cap is not None:
            scores = soft_cap * (scores / soft_cap).tanh()
        weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
        heads.append(weights @ value[:, head // group].double())
    return torch.stack(heads, 1)


@pytest.mark.parametrize("soft_cap", [None, 2.0, 50.0])
@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (4, 1)])
@pytest.mark.parametrize("queries", [1, 5])
def test_attention_with_grouped_heads_equals_the_definition(
    queries: int, heads: int, key_heads: int, soft_cap: float | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    query = 3 * torch.randn(2, heads, queries, 8, generator=generator)
    key, value = torch.randn(2, 2, key_heads, 7, 8, generator=generator).mul(3).unbind()
    allowed = torch.rand(2, queries, 7, generator=generator) < 0.6
    allowed[..., 0] = True
    found = masked_attention(query, key, value, allowed, scale=0.3, soft_cap=soft_cap)
    expected = by_hand(query, key, value, allowed, 0.3, soft_cap)
    torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("soft_cap", [None, 50.0])
def test_a_key_that_is_not_allowed_changes_nothing_at_all(soft_cap: float | None) -> None:
    query, key, value = torch.randn(3, 1, 2, 6, 8).unbind()
    allowed = torch.ones(1, 6, 6, dtype=torch.bool).tril()
    before = masked_attention(query, key, value, allowed, scale=1.0, soft_cap=soft_cap)
    key[:, :, -1], value[:, :, -1] = 100.0, -100.0
    after = masked_attention(query, key, value, allowed, scale=1.0, soft_cap=soft_cap)
    assert torch.equal(before[:, :, :-1], after[:, :, :-1])
    assert not torch.equal(before[:, :, -1], after[:, :, -1])
