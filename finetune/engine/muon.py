"""Muon: momentum for a matrix, made orthogonal before it is applied, so that every direction moves equally far.

Matrices of the hidden layers learn so; what is no matrix (norms, biases, patch filters) and tables that are looked up
(embeddings, positions) keep Adam. One optimizer holds both, so that groups, schedules and checkpoints see only one.
torch has a Muon of its own, which refuses every parameter that is no matrix.

Source:
    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks" (coefficients, size of an update).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

_QUINTIC = (3.4445, -4.7750, 2.0315)
_NUM_ITERATIONS = 5


class MuonWithAdam(Optimizer):
    """Muon on groups whose `is_matrix` is true, Adam with decoupled decay on the others.

    Args:
        groups: As torch's optimizers take them, each with `weight_decay` and `is_matrix`.
        momentum: Of the matrices' gradients; Nesterov's.
    """

    def __init__(
        self, groups: Sequence[dict[str, Any]], *, momentum: float, beta1: float, beta2: float, epsilon: float
    ) -> None:
        defaults = {"lr": 0.0, "momentum": momentum, "beta1": beta1, "beta2": beta2, "epsilon": epsilon}
        super().__init__([dict(group) for group in groups], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Raises:
            ValueError: If a closure is given: the gradients are there already.
        """
        if closure is not None:
            raise ValueError("a closure would compute gradients that this step has already")
        for group in self.param_groups:
            update = _muon_update if group["is_matrix"] else _adam_update
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update(parameter, self.state[parameter], group), alpha=-group["lr"])


def orthogonalize(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Bring all singular values near 1 (0.7 to 1.2), by five Newton-Schulz steps in bf16; directions stay."""
    is_tall = matrix.shape[0] > matrix.shape[1]
    result = (matrix.T if is_tall else matrix).bfloat16()
    result = result / result.norm().clamp(min=1e-7)
    linear, cubic, quintic = _QUINTIC
    for _ in range(_NUM_ITERATIONS):
        gram = result @ result.T
        result = torch.addmm(result, torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic), result, beta=linear)
    return (result.T if is_tall else result).to(matrix.dtype)


def _muon_update(parameter: nn.Parameter, memory: dict[str, Any], group: dict[str, Any]) -> Tensor:
    gradient = _gradient_of(parameter)
    if not memory:
        memory["momentum"] = torch.zeros_like(gradient)
    momentum: Tensor = memory["momentum"]
    momentum.lerp_(gradient, 1 - group["momentum"])
    direction = orthogonalize(gradient.lerp(momentum, group["momentum"]))
    rows, columns = parameter.shape
    scaled: Tensor = direction * max(1.0, rows / columns) ** 0.5
    return scaled


def _adam_update(parameter: nn.Parameter, memory: dict[str, Any], group: dict[str, Any]) -> Tensor:
    gradient = _gradient_of(parameter)
    if not memory:
        memory.update(num_steps=0, first=torch.zeros_like(gradient), second=torch.zeros_like(gradient))
    memory["num_steps"] += 1
    first: Tensor = memory["first"].lerp_(gradient, 1 - group["beta1"])
    second: Tensor = memory["second"].lerp_(gradient.square(), 1 - group["beta2"])
    first_scale = 1 - group["beta1"] ** memory["num_steps"]
    second_scale = 1 - group["beta2"] ** memory["num_steps"]
    corrected: Tensor = first / first_scale / ((second / second_scale).sqrt() + group["epsilon"])
    return corrected


def _gradient_of(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None, "the step passes over parameters without a gradient"
    return parameter.grad
