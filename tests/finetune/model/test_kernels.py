from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from finetune.model.decoder import language_model
from finetune.model.kernels import normalize, run_mlp

BuildModel = Callable[..., nn.Module]


def run_and_differentiate(run: Callable[[Tensor], Tensor], module: nn.Module, states: Tensor) -> tuple[Tensor, ...]:
    """Return the result and the gradients for the input and every parameter."""
    leaf = states.clone().requires_grad_()
    result = run(leaf)
    weights = torch.linspace(-1, 1, result.shape[-1]).to(result.dtype)
    return result, *torch.autograd.grad((result * weights).sum(), [leaf, *module.parameters()])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("generation", [1, 2])
def test_norms_and_activations_are_those_of_transformers(
    small_paligemma: BuildModel, generation: int, dtype: torch.dtype
) -> None:
    layer = language_model(small_paligemma(generation).to(dtype)).layers[0]
    states = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    # What transformers rounds to bf16 on the way back, ours rounds in another order.
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype is torch.float32 else {"rtol": 2e-2, "atol": 2e-2}
    for module, run in (
        (layer.input_layernorm, lambda states: normalize(layer.input_layernorm, states)),
        (layer.mlp, lambda states: run_mlp(layer.mlp, states)),
    ):
        found, expected = (run_and_differentiate(one, module, states) for one in (run, module))
        assert torch.equal(found[0], expected[0])
        for ours, theirs in zip(found[1:], expected[1:], strict=True):
            assert ours.dtype == theirs.dtype
            torch.testing.assert_close(ours, theirs, **tolerance)


def test_a_frozen_norm_gives_its_weight_no_gradient(small_paligemma: BuildModel) -> None:
    norm = language_model(small_paligemma(1)).norm.requires_grad_(False)
    states = torch.randn(4, 32, requires_grad=True)
    normalize(norm, states).sum().backward()
    assert states.grad is not None
    assert norm.weight.grad is None


def test_only_what_is_given_is_kept(small_paligemma: BuildModel) -> None:
    layer = language_model(small_paligemma(1).to(torch.bfloat16)).layers[0].requires_grad_(False)
    states = torch.randn(7, 32, dtype=torch.bfloat16, requires_grad=True)
    saved: list[Tensor] = []
    with saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        normalize(layer.input_layernorm, states)
        assert sorted(tuple(tensor.shape) for tensor in saved) == [(7, 1), (7, 32), (32,)]
        assert any(tensor.data_ptr() == states.data_ptr() for tensor in saved)
        saved.clear()
        run_mlp(layer.mlp, states)
        kept = [tensor for tensor in saved if not isinstance(tensor, nn.Parameter) and tensor.shape[0] == 7]
        assert [tuple(tensor.shape) for tensor in kept] == [(7, 48), (7, 48)]


def test_modules_of_another_kind_are_called() -> None:
    torch.manual_seed(0)
    norm, states = nn.LayerNorm(8), torch.randn(2, 8)
    assert torch.equal(normalize(norm, states), norm(states))

    class Rectified(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act_fn = nn.ReLU()

        def forward(self, states: Tensor) -> Tensor:
            return self.act_fn(states)

    assert torch.equal(run_mlp(Rectified(), states), states.relu())
