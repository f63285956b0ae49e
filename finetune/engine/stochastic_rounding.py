"""AdamW on weights in bfloat16 without a copy in float32: what rounding takes away, it gives back on average.

bfloat16 has 8 significant bits. An update below 1/512 of a weight is lost for good when it is rounded to the nearest,
and training stalls. Rounded up as often as it lies near the upper neighbour, its mean is what was to be added:

    1.001   lies between 1 and 1.0078125: up in 12.8 % of cases

Which way each number goes depends on the seed, the parameter's name and how often it was updated, and on nothing else:
not on the order of parameters, not on a resume; and every rank does the same.

Source:
    Zamirai et al. 2020, "Revisiting BFloat16 Training".
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch
from jaxtyping import BFloat16, Float32, Int32
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.data.order import stable_hash

# Memory for what lies between is a few times this many numbers in float32, whatever the size of a table.
_NUMBERS_AT_ONCE = 1 << 24
_NUM_LOST_BITS = 16


class AdamWBf16Optimizer(Optimizer):
    """AdamW in float32 arithmetic on bfloat16 weights; weights and moments in bfloat16 are rounded stochastically.

    The second moment needs it as much: it moves by a thousandth of itself in each update.

    Args:
        groups: Of named parameters, as torch's optimizers take them, each with `weight_decay`.
        states: What the two moments are kept in, float32 or bfloat16.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        *,
        beta1: float,
        beta2: float,
        epsilon: float,
        states: torch.dtype,
        seed: int,
    ) -> None:
        super().__init__([dict(group) for group in groups], {"lr": 0.0, "weight_decay": 0.0})
        self._betas = (beta1, beta2)
        self._epsilon = epsilon
        self._states = states
        self._seed = seed

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient.

        Raises:
            ValueError: If a closure is given: the gradients are there already.
        """
        if closure is not None:
            raise ValueError("a closure would compute gradients that this step has already")
        for group in self.param_groups:
            # The same for nearly all parameters: a GPU should not be sent it for each.
            scalars = cache(partial(self._scalars, group))
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                if parameter.grad is not None:
                    self._update(name, parameter, scalars)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a state in the formats in which it was kept; torch would give it that of the weights."""
        super().load_state_dict(state_dict)
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        for number, memory in state_dict["state"].items():
            for key in ("first", "second"):
                self.state[parameters[number]][key] = memory[key].to(parameters[number].device)

    def _update(self, name: str, parameter: nn.Parameter, scalars_of: Callable[[int, torch.device], Tensor]) -> None:
        memory = self.state[parameter]
        if not memory:
            memory["num_updates"] = 0
            for key in ("first", "second"):
                memory[key] = torch.zeros_like(parameter, dtype=self._states, memory_format=torch.contiguous_format)
        memory["num_updates"] += 1
        draws = torch.Generator(parameter.device)
        draws.manual_seed(stable_hash("rounding", self._seed, name, memory["num_updates"]))
        scalars = scalars_of(memory["num_updates"], parameter.device)
        assert parameter.grad is not None, "the step passes over parameters without a gradient"
        whole = (parameter.detach().view(-1), parameter.grad.reshape(-1), memory["first"], memory["second"])
        for pieces in zip(*(tensor.view(-1).split(_NUMBERS_AT_ONCE) for tensor in whole), strict=True):
            noise = [_noise(pieces[0], draws) for _ in range(3 if self._states == torch.bfloat16 else 1)]
            _compiled(parameter.device.type)(pieces, noise, scalars, self._betas, self._epsilon)

    def _scalars(self, group: dict[str, Any], num_updates: int, device: torch.device) -> Float32[Tensor, "3"]:
        """What changes from step to step, as tensors, which a compiled update need not be compiled again for."""
        beta1, beta2 = self._betas
        decay = 1 - group["lr"] * group["weight_decay"]
        step_size = group["lr"] / (1 - beta1**num_updates)
        return torch.tensor([decay, step_size, (1 - beta2**num_updates) ** 0.5], device=device)


def round_stochastically(
    values: Float32[Tensor, "*shape"], noise: Int32[Tensor, "*shape"]
) -> BFloat16[Tensor, "*shape"]:
    """Round to one of the two neighbours in bfloat16, so that the mean over all noise is the value itself.

    Args:
        noise: Whole numbers, each of 0..65535 equally likely.
    """
    # What is cut off then carries into the last bit that stays as often as it is large, whatever the sign. Infinity and
    # the NaN that arithmetic returns have nothing there to carry.
    carried = values.view(torch.int32) + noise
    return (carried & -(1 << _NUM_LOST_BITS)).view(torch.float32).to(torch.bfloat16)


def _noise(like: Tensor, draws: torch.Generator) -> Int32[Tensor, " numbers"]:
    return torch.randint(1 << _NUM_LOST_BITS, like.shape, generator=draws, device=like.device, dtype=torch.int32)


@cache
def _compiled(kind: str) -> Callable[..., None]:
    """Return the update for a kind of device: on a GPU one pass over memory, where torch's operations need fourteen."""
    return torch.compile(_update_piece, dynamic=True) if kind == "cuda" else _update_piece


def _update_piece(
    pieces: tuple[Tensor, Tensor, Tensor, Tensor],
    noise: list[Tensor],
    scalars: Tensor,
    betas: tuple[float, float],
    epsilon: float,
) -> None:
    """Update weights and moments in place. Three noises round all of them, one the weights alone."""
    weights, gradients, first, second = pieces
    decay, step_size, root = scalars.unbind()
    gradient = gradients.float()
    new_first = torch.lerp(first.float(), gradient, 1 - betas[0])
    new_second = torch.lerp(second.float(), gradient * gradient, 1 - betas[1])
    updated = weights.float() * decay - step_size * new_first / (new_second.sqrt() / root + epsilon)
    kept, new = (weights, first, second), (updated, new_first, new_second)
    for old, values, bits in zip(kept, new, [*noise, None, None][:3], strict=True):
        old.copy_(values if bits is None else round_stochastically(values, bits))
