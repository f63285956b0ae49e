"""Every kernel that runs on a CPU against the masked reference; tests/gpu does the same on a GPU."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from finetune.data.layout import Arrangement
from finetune.data.packing import Batch
from finetune.model import attention_plan
from finetune.model.attention_plan import Kernel, choose_kernel, describe_kernels, plan_attention

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FLOATS = [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 3e-2)]


def load_cases() -> ModuleType:
    path = Path(__file__).parents[2] / "gpu" / "attention_cases.py"
    spec = importlib.util.spec_from_file_location("attention_cases", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = load_cases()


def assert_equals_reference(
    batch: Batch,
    kernel: Kernel,
    num_heads: tuple[int, int, int],
    soft_cap: float | None,
    dtype: torch.dtype,
    atol: float,
) -> None:
    heads = cases.heads_for(batch, num_heads, 16, dtype, CPU)
    found = cases.attended_by(batch, plan_attention(batch, kernel), heads, soft_cap)
    expected = cases.reference(batch, heads, soft_cap)
    torch.testing.assert_close(found.everywhere.double(), expected.everywhere, atol=atol, rtol=atol)
    torch.testing.assert_close(found.tails.double(), expected.tails, atol=atol, rtol=atol)
    for gradient, wanted in zip(found.gradients, expected.gradients, strict=True):
        assert float((gradient.double() - wanted).norm() / wanted.norm()) < atol


@pytest.mark.parametrize(("dtype", "atol"), FLOATS)
@pytest.mark.parametrize("soft_cap", [None, 2.0])
@pytest.mark.parametrize("num_heads", [(4, 1, 1), (4, 2, 2), (2, 2, 2)])
@pytest.mark.parametrize("arrangement", Arrangement)
def test_what_a_cpu_chooses_equals_the_reference(
    arrangement: Arrangement,
    num_heads: tuple[int, int, int],
    soft_cap: float | None,
    dtype: torch.dtype,
    atol: float,
) -> None:
    kernel = choose_kernel(arrangement, CPU, dtype, soft_cap)
    assert_equals_reference(cases.batch_of(arrangement), kernel, num_heads, soft_cap, dtype, atol)


@pytest.mark.parametrize("arrangement", Arrangement)
def test_the_masked_kernel_serves_every_arrangement(arrangement: Arrangement) -> None:
    assert_equals_reference(cases.batch_of(arrangement), Kernel.masked, (4, 2, 2), None, torch.float64, 1e-12)


def lower_right_by_segments(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_ends: Tensor,
    key_ends: Tensor,
    max_queries: int,
    max_keys: int,
    *,
    scale: float,
    enable_gqa: bool,
    window_size: tuple[int, int] = (-1, -1),
) -> Tensor:
    """Do what torch's varlen kernel promises, segment by segment."""
    attended = []
    for segment in range(len(query_ends) - 1):
        queries = slice(int(query_ends[segment]), int(query_ends[segment + 1]))
        keys = slice(int(key_ends[segment]), int(key_ends[segment + 1]))
        num_queries, num_keys = queries.stop - queries.start, keys.stop - keys.start
        assert num_queries <= max_queries
        assert num_keys <= max_keys
        allowed = torch.ones(num_queries, num_keys, dtype=torch.bool)
        if window_size == (-1, 0):
            allowed = allowed.tril(num_keys - num_queries)
        one = scaled_dot_product_attention(
            *(heads.transpose(0, 1)[None] for heads in (query[queries], key[keys], value[keys])),
            attn_mask=allowed,
            scale=scale,
            enable_gqa=enable_gqa,
        )
        attended.append(one[0].transpose(0, 1))
    return torch.cat(attended)


@pytest.mark.parametrize("num_heads", [(4, 1, 1), (4, 2, 2), (2, 2, 2)])
def test_the_varlen_calls_cut_examples_out_as_they_should(
    monkeypatch: pytest.MonkeyPatch, num_heads: tuple[int, int, int]
) -> None:
    import torch.nn.attention.varlen as varlen

    monkeypatch.setattr(varlen, "varlen_attn", lower_right_by_segments)
    batch = cases.batch_of(Arrangement.packed)
    assert_equals_reference(batch, Kernel.varlen, num_heads, None, torch.float64, 1e-12)


@pytest.mark.parametrize("soft_cap", [None, 2.0])
@pytest.mark.parametrize("arrangement", Arrangement)
@torch.no_grad()
def test_flex_attention_computes_the_reference_forwards(arrangement: Arrangement, soft_cap: float | None) -> None:
    batch = cases.batch_of(arrangement)
    query, key, value = (heads.detach() for heads in cases.heads_for(batch, (4, 2, 2), 16, torch.float32, CPU))
    flex, masked = (plan_attention(batch, kernel) for kernel in (Kernel.flex, Kernel.masked))
    columns = query.transpose(1, 2).flatten(0, 1)[flex.tail_rows].transpose(1, 2)
    for asking, found, expected in (
        (query, flex.everywhere, masked.everywhere),
        (columns, flex.tails, masked.tails),
    ):
        ours = found(asking, key, value, scale=0.3, soft_cap=soft_cap)
        theirs = expected(asking, key, value, scale=0.3, soft_cap=soft_cap)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("device", "dtype", "soft_cap", "expected"),
    [
        (CPU, torch.float32, None, (Kernel.two_calls, Kernel.masked, Kernel.masked)),
        (CPU, torch.bfloat16, 50.0, (Kernel.two_calls, Kernel.masked, Kernel.masked)),
        (CUDA, torch.bfloat16, None, (Kernel.two_calls, Kernel.varlen, Kernel.flex)),
        (CUDA, torch.float32, None, (Kernel.two_calls, Kernel.masked, Kernel.flex)),
        (CUDA, torch.bfloat16, 50.0, (Kernel.flex, Kernel.flex, Kernel.flex)),
    ],
)
def test_the_kernel_follows_from_device_format_and_soft_cap(
    monkeypatch: pytest.MonkeyPatch,
    device: torch.device,
    dtype: torch.dtype,
    soft_cap: float | None,
    expected: tuple[Kernel, ...],
) -> None:
    monkeypatch.setattr(attention_plan, "has_varlen", lambda device, dtype: dtype is torch.bfloat16)
    found = tuple(choose_kernel(arrangement, device, dtype, soft_cap) for arrangement in Arrangement)
    assert found == expected
    assert all(kernel.value in describe_kernels(device, dtype, soft_cap) for kernel in expected)


def test_two_calls_and_causal_tails_pass_no_square_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    masks: list[tuple[int, ...] | None] = []
    attend: Callable[..., Any] = attention_plan.masked_attention

    def noting(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, **how: Any) -> Tensor:
        masks.append(None if allowed is None else tuple(allowed.shape[1:]))
        return attend(query, key, value, allowed, **how)

    monkeypatch.setattr(attention_plan, "masked_attention", noting)
    batch = cases.batch_of(Arrangement.equal)
    heads = cases.heads_for(batch, (2, 1, 1), 16, torch.float32, CPU)
    plan_attention(batch, Kernel.two_calls).everywhere(*heads, scale=1.0, soft_cap=None)
    plan_attention(batch, Kernel.two_calls).everywhere(*heads, scale=1.0, soft_cap=2.0)
    # 7 positions of the prefix, 5 behind them: with a soft-cap, the tail's own triangle is all that is masked.
    assert masks == [None, None, (6, 12)]


def test_a_plan_is_made_once_for_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = SimpleNamespace(count=0)

    def counting(*ids: Tensor) -> Tensor:
        calls.count += 1
        return torch.ones(*ids[0].shape, ids[0].shape[1], dtype=torch.bool)

    batch = cases.batch_of(Arrangement.packed)
    plan = plan_attention(batch, Kernel.masked, counting)
    heads = cases.heads_for(batch, (2, 1, 1), 16, torch.float32, CPU)
    for _ in range(3):
        plan.everywhere(*heads, scale=1.0, soft_cap=None)
    assert calls.count == 1
