import pytest
import torch

from finetune.benchmark import attention_routes
from finetune.benchmark.attention_routes import decoder_routes, measure_attention, reference
from finetune.model.attention import masked_attention, prefix_lm_mask


def heads(num_heads: int) -> torch.Tensor:
    return torch.randn(2, num_heads, 11, 8, dtype=torch.float32, generator=torch.Generator().manual_seed(num_heads))


def test_the_reference_is_the_projects_own_attention() -> None:
    query, key, value = heads(4), heads(2), heads(1).expand(2, 2, 11, 8)
    positions = torch.arange(11).expand(2, 11)
    allowed = prefix_lm_mask(torch.zeros(2, 11, dtype=torch.int64), positions, positions >= 7)
    for soft_cap in (None, 0.5):
        ours = masked_attention(query, key, value, allowed, scale=8**-0.5, soft_cap=soft_cap)
        torch.testing.assert_close(reference(query, key, value, 7, soft_cap), ours)


@pytest.mark.parametrize("name", ["two calls, flash", "mask, math"])
def test_routes_that_a_processor_has_are_prefix_lm_attention(name: str) -> None:
    query, key, value = heads(4), heads(2), heads(2)
    torch.testing.assert_close(decoder_routes()[name](query, key, value, 7), reference(query, key, value, 7))


def test_a_route_that_is_not_to_be_had_says_why(monkeypatch: pytest.MonkeyPatch, workload_of) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(attention_routes, "_SECONDS", 0.0)
    rows = measure_attention(workload_of(), torch.device("cpu"))
    by_route = {row["route"]: row for row in rows}
    assert by_route["two calls, flash"]["largest_error"] < 0.05
    assert "failed" in by_route["two calls, cudnn"]
