"""The fused head and loss against torch's own, spelled out, and what it keeps meanwhile."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from finetune.engine import linear_cross_entropy as module
from finetune.engine.linear_cross_entropy import linear_cross_entropy

HIDDEN, EXTRA_ROWS = 6, 3


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few targets and tiles of a few ids, so that every seam is crossed."""
    monkeypatch.setattr(module, "_CHUNK_BYTES", 4 * 8 * 20)
    monkeypatch.setattr(module, "_TILE_IDS", 8)


def inputs(
    num_targets: int, vocabulary_size: int, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(num_targets, HIDDEN, generator=generator, dtype=torch.float64)
    weight = torch.randn(vocabulary_size + EXTRA_ROWS, HIDDEN, generator=generator, dtype=torch.float64)
    targets = torch.randint(vocabulary_size, (num_targets,), generator=generator)
    factors = torch.rand(num_targets, generator=generator, dtype=torch.float64)
    return states.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets, factors


def reference(
    states: Tensor,
    weight: Tensor,
    targets: Tensor,
    vocabulary_size: int,
    label_smoothing: float,
    soft_cap: float | None,
) -> Tensor:
    """Spell the losses out, as the original does: wanted probabilities times log-probabilities."""
    scores = states @ weight[:vocabulary_size].t()
    if soft_cap is not None:
        scores = soft_cap * torch.tanh(scores / soft_cap)
    wanted = torch.full_like(scores, label_smoothing / (vocabulary_size - 1))
    wanted = wanted.scatter(1, targets[:, None], 1 - label_smoothing)
    return -(wanted * scores.log_softmax(dim=1)).sum(dim=1)


@settings(deadline=None, max_examples=60)
@given(
    num_targets=st.integers(0, 11),
    vocabulary_size=st.integers(2, 30),
    label_smoothing=st.sampled_from([0.0, 0.1, 0.6]),
    soft_cap=st.sampled_from([None, 2.0, 30.0]),
    trains_weight=st.booleans(),
    seed=st.integers(0, 100),
)
def test_losses_and_gradients_are_those_of_torch(
    num_targets: int,
    vocabulary_size: int,
    label_smoothing: float,
    soft_cap: float | None,
    trains_weight: bool,
    seed: int,
) -> None:
    states, weight, targets, factors = inputs(num_targets, vocabulary_size, seed=seed)
    weight.requires_grad_(trains_weight)
    expected = reference(states, weight, targets, vocabulary_size, label_smoothing, soft_cap)
    ((expected * factors).sum() * 3).backward()
    wanted = [leaf.grad for leaf in (states, weight)]
    states.grad = weight.grad = None
    share, losses = linear_cross_entropy(
        states,
        weight,
        targets,
        factors,
        vocabulary_size=vocabulary_size,
        label_smoothing=label_smoothing,
        soft_cap=soft_cap,
    )
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(share, (losses * factors).sum(), rtol=1e-12, atol=1e-12)
    # Another factor arrives at the backward pass: the number of ranks, the fp16 loss scale.
    (share * 3).backward()
    torch.testing.assert_close(states.grad, wanted[0], rtol=1e-10, atol=1e-10)
    if trains_weight:
        torch.testing.assert_close(weight.grad, wanted[1], rtol=1e-10, atol=1e-10)
        assert not weight.grad[vocabulary_size:].any()
    else:
        assert weight.grad is None
    assert not losses.requires_grad


def test_an_indifferent_head_loses_the_logarithm_of_the_vocabulary() -> None:
    _, losses = linear_cross_entropy(
        torch.ones(3, HIDDEN),
        torch.zeros(20, HIDDEN),
        torch.tensor([0, 7, 19]),
        torch.ones(3),
        vocabulary_size=20,
        label_smoothing=0.1,
    )
    torch.testing.assert_close(losses, torch.full((3,), math.log(20)))


def test_a_confident_head_keeps_the_digits_of_a_small_loss() -> None:
    weight = torch.zeros(20, HIDDEN)
    weight[4] = 2.0
    _, losses = linear_cross_entropy(
        torch.ones(1, HIDDEN), weight, torch.tensor([4]), torch.ones(1), vocabulary_size=20
    )
    assert losses.item() == pytest.approx(math.log1p(19 * math.exp(-12)), rel=1e-2, abs=0)


@pytest.mark.parametrize("weight_dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_products_are_bf16_and_losses_fp32(weight_dtype: torch.dtype) -> None:
    states, weight, targets, factors = inputs(9, 30, torch.float32)
    rounded = weight.detach().to(weight_dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        share, losses = linear_cross_entropy(states, rounded, targets, factors.float(), vocabulary_size=30)
    share.backward()
    assert losses.dtype == share.dtype == torch.float32
    assert (states.grad.dtype, rounded.grad.dtype) == (torch.float32, weight_dtype)
    scores = (states.detach().bfloat16() @ rounded.detach().bfloat16()[:30].t()).float()
    torch.testing.assert_close(losses, cross_entropy(scores, targets, reduction="none"), rtol=1e-6, atol=1e-6)
    exact_states, exact_weight = (leaf.detach().clone().requires_grad_() for leaf in (states, weight))
    (reference(exact_states, exact_weight, targets, 30, 0.0, None) * factors).sum().backward()
    for found, exact in ((states.grad, exact_states.grad), (rounded.grad, exact_weight.grad)):
        assert torch.cosine_similarity(found.float().flatten(), exact.flatten(), dim=0) > 0.999


def test_without_gradients_none_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module._Chunk, "differentiate", None)
    states, weight, targets, factors = inputs(5, 12)
    with torch.no_grad():
        share, _ = linear_cross_entropy(states, weight, targets, factors, vocabulary_size=12)
    assert not share.requires_grad
    frozen = linear_cross_entropy(states.detach(), weight.detach(), targets, factors, vocabulary_size=12)[0]
    assert not frozen.requires_grad


def test_a_gradient_can_be_taken_once() -> None:
    share, _ = linear_cross_entropy(*inputs(5, 12), vocabulary_size=12)
    share.backward(retain_graph=True)
    with pytest.raises(AssertionError, match="taken before"):
        share.backward()


class LargestShapes(TorchDispatchMode):
    """Notes the widths [targets, ids] of everything that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: set[tuple[int, ...]] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor):
                self.shapes.add(tuple(value.shape))
        return result


def test_no_tensor_holds_the_scores_of_all_targets_and_none_is_kept() -> None:
    states, weight, targets, factors = inputs(50, 24)
    saved = []
    with LargestShapes() as seen, saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda t: t):
        share, _ = linear_cross_entropy(states, weight, targets, factors, vocabulary_size=24)
        share.backward()
    assert max(shape[0] for shape in seen.shapes if len(shape) == 2 and shape[1] in (24, 27)) < 50
    assert not any(24 in tensor.shape or 27 in tensor.shape for tensor in saved)
