"""Linear maps that keep no view of their weight compute what torch's own do."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from finetune.engine.sharding.linear import linears_without_views

pytest.importorskip("deepspeed", reason="zero2 and zero3 need it")


def passes(model: nn.Module, states: Tensor, dtype: torch.dtype) -> list[Tensor]:
    """Return what comes out of a model, and all gradients."""
    states = states.clone().requires_grad_()
    model.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        found = model(states)
    found.float().square().sum().backward()
    return [found.detach(), states.grad, *(one.grad.clone() for one in model.parameters())]  # type: ignore[list-item,union-attr]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(5, 24), (2, 5, 24)])
def test_passes_are_those_of_torch_with_and_without_a_bias(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    # The second one's weight is used twice: autocast keeps a copy of it.
    twice = nn.Linear(32, 32, bias=False)
    model = nn.Sequential(nn.Linear(24, 32), nn.GELU(), twice, nn.GELU(), twice)
    states = torch.randn(shape)
    expected = passes(model, states, dtype)
    with linears_without_views():
        found = passes(model, states, dtype)
    assert torch.equal(found[0], expected[0])
    tolerance = 1e-5 if dtype is torch.float32 else 2e-2
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert float((one - other).norm() / other.norm()) < tolerance


def test_no_view_of_a_weight_is_kept_for_the_backward_pass_and_torch_is_put_back() -> None:
    before: Callable[..., Tensor] = nn.functional.linear
    model = nn.Linear(24, 32)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with linears_without_views(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.randn(5, 24, requires_grad=True))
    of_weight = [one for one in kept if one.data_ptr() == model.weight.data_ptr()]
    assert of_weight
    assert all(one is model.weight for one in of_weight)
    assert nn.functional.linear is before
