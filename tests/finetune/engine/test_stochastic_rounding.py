"""Weights in bf16 that learn: rounding that is right on average, and the same in every run."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from torch import Tensor, nn

from finetune.engine.adamw_bf16 import AdamWBf16
from finetune.engine.optimizer import AdamW
from finetune.engine.stochastic_rounding import round_stochastically
from finetune.settings import Precision

ALL_NOISE = torch.arange(1 << 16, dtype=torch.int32)


def neighbours(value: float) -> tuple[float, float]:
    """Return the nearest numbers of bf16 at or nearer to zero, and beyond."""
    bits = torch.tensor(value).view(torch.int32) & -(1 << 16)
    return float(bits.view(torch.float32)), float((bits + (1 << 16)).view(torch.float32))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**120), max_value=2.0**120))
def test_the_mean_over_all_noise_is_the_value_itself(value: float) -> None:
    rounded = round_stochastically(torch.full(ALL_NOISE.shape, value), ALL_NOISE)
    assert rounded.dtype == torch.bfloat16
    inner, outer = neighbours(value)
    assert set(rounded.double().unique().tolist()) <= {inner, outer}
    # Exact: 65536 draws, and the value lies a whole number of 65536ths between its neighbours.
    assert float(rounded.double().mean()) == value


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -3.5, float("inf"), float("-inf")])
def test_what_bf16_holds_stays_whatever_the_noise(value: float) -> None:
    rounded = round_stochastically(torch.full(ALL_NOISE.shape, value), ALL_NOISE)
    assert rounded.unique().tolist() == [value]


def test_not_a_number_stays_none() -> None:
    broken = torch.tensor([float("nan"), float("inf") - float("inf"), -float("nan")]).repeat(2)
    noise = torch.tensor([0, 0, 0, 65535, 65535, 65535], dtype=torch.int32)
    assert round_stochastically(broken, noise).isnan().all()


def updated(choice: AdamWBf16 | AdamW, weights: dict[str, nn.Parameter], gradients: list[float]) -> dict[str, Tensor]:
    """Return the weights after one update for each gradient, every number having the same."""
    group = {"params": list(weights.items()), "lr": choice.learning_rate, "weight_decay": choice.weight_decay}
    optimizer = choice.build([group])
    for gradient in gradients:
        for weight in weights.values():
            weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
    return {name: weight.detach() for name, weight in weights.items()}


def ones(*names: str, size: int = 512, dtype: torch.dtype = torch.bfloat16) -> dict[str, nn.Parameter]:
    return {name: nn.Parameter(torch.ones(size, dtype=dtype)) for name in names}


def test_one_update_lands_on_a_neighbour_of_what_adamw_computes() -> None:
    weights = {"w": nn.Parameter(torch.linspace(-2, 2, 999).bfloat16())}
    exact = {"w": nn.Parameter(weights["w"].detach().float())}
    expected = updated(AdamW(learning_rate=0.01), exact, [0.3])["w"]
    bits = expected.view(torch.int32) & -(1 << 16)
    inner, outer = bits.view(torch.float32), (bits + (1 << 16)).view(torch.float32)
    result = updated(AdamWBf16(learning_rate=0.01), weights, [0.3])["w"].float()
    # The arithmetic may be off by a last bit of float32, just above or below a number of bf16.
    is_near = (result == inner) | (result == outer) | ((result - expected).abs() < 1e-6)
    assert bool(is_near.all())


@pytest.mark.parametrize("state_dtype", [Precision.fp32, Precision.bf16])
def test_small_updates_add_up_where_rounding_to_the_nearest_stalls(state_dtype: Precision) -> None:
    gradients = [-1.0] * 300
    rate = {"learning_rate": 1e-4, "weight_decay": 0.0}
    exact = updated(AdamW(**rate), ones("w", dtype=torch.float32), gradients)["w"]
    stalled = updated(AdamW(**rate), ones("w"), gradients)["w"]
    moved = updated(AdamWBf16(state_dtype=state_dtype, **rate), ones("w"), gradients)["w"]
    assert float(exact.mean()) == pytest.approx(1.03, abs=1e-4)
    assert stalled.unique().tolist() == [1.0]
    # Each number makes a random walk of steps of 2^-7 with deviation 0.015; the mean of 512 has 0.0007.
    assert float(moved.float().mean()) == pytest.approx(1.03, abs=0.003)


def test_the_second_moment_in_bf16_follows_where_it_would_stall() -> None:
    choice = AdamWBf16(state_dtype=Precision.bf16, learning_rate=1e-6)
    weights = ones("w", size=4096)
    optimizer = choice.build([{"params": list(weights.items()), "lr": 1e-6, "weight_decay": 0.0}])
    for _ in range(1000):
        weights["w"].grad = torch.ones(4096, dtype=torch.bfloat16)
        optimizer.step()
    second = optimizer.state[weights["w"]]["second"]
    assert second.dtype == torch.bfloat16
    assert float(second.float().mean()) == pytest.approx(1 - 0.999**1000, rel=0.01)


def test_nothing_drifts_without_a_gradient() -> None:
    start = torch.randn(4096, generator=torch.Generator().manual_seed(0)).bfloat16()
    result = updated(AdamWBf16(weight_decay=0.0), {"w": nn.Parameter(start.clone())}, [0.0] * 20)["w"]
    assert torch.equal(result, start)


def test_rounding_depends_on_seed_name_and_update_and_on_nothing_else() -> None:
    gradients = [-0.5, 0.25, -1.0]
    choice = AdamWBf16(learning_rate=1e-3)
    alone = updated(choice, ones("w"), gradients)["w"]
    torch.rand(11)
    among = updated(choice, ones("v", "w", "u"), gradients)
    assert torch.equal(alone, among["w"])
    assert not torch.equal(among["v"], among["w"])
    assert not torch.equal(alone, updated(AdamWBf16(learning_rate=1e-3, rounding_seed=1), ones("w"), gradients)["w"])


@pytest.mark.parametrize("state_dtype", [Precision.fp32, Precision.bf16])
def test_memory_is_what_the_table_says(state_dtype: Precision) -> None:
    weights = ones("w")
    optimizer = AdamWBf16(state_dtype=state_dtype).build(
        [{"params": list(weights.items()), "lr": 1e-5, "weight_decay": 0.0}]
    )
    weights["w"].grad = torch.ones(512, dtype=torch.bfloat16)
    optimizer.step()
    kept = [value for value in optimizer.state[weights["w"]].values() if isinstance(value, Tensor)]
    assert sum(tensor.nbytes for tensor in kept) == 512 * (8 if state_dtype is Precision.fp32 else 4)
