"""The output head and its loss as one operation that never holds the scores of all targets, forwards or backwards.

Scores of one target over 257 152 ids take 1 MiB in fp32, and a loss by the book keeps five copies. Here a chunk of
targets is scored once; its loss and its gradient follow from those scores, tile by tile of the vocabulary, and the
scores are dropped. What is kept for the backward pass is the gradient itself: [targets, hidden], and that of the head's
weight where it trains. This needs the factor on each target's loss beforehand, which the window gives.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

# The scores of one chunk, in the format of the product.
_CHUNK_BYTES = 256 * 2**20
# Ids whose probabilities are held in fp32 at a time.
_TILE_IDS = 16_384


def linear_cross_entropy(
    states: Float[Tensor, "targets hidden"],
    weight: Float[Tensor, "table hidden"],
    targets: Int64[Tensor, " targets"],
    factors: Float[Tensor, " targets"],
    *,
    vocabulary_size: int,
    label_smoothing: float = 0.0,
    soft_cap: float | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, " targets"]]:
    """Return the sum of factor times loss, which can be differentiated, and each target's own loss in nats, detached.

    Products are computed in autocast's format, or else in the weight's; losses in fp32 or wider. `states` and `weight`
    get gradients, `factors` does not. The gradient is handed over, not copied: it can be taken once.

    Args:
        weight: One row an id. Rows from `vocabulary_size` on are never scored, and their gradient is zero.
        label_smoothing: The target's probability is 1 - label_smoothing, the V - 1 others share the rest evenly
            (torch's own definition also gives the target a share).
        soft_cap: Scores become soft_cap * tanh(score / soft_cap); None: left as they are, as the original trains.

    Source:
        big_vision trainers/proj/paligemma/train.py, `loss_fn` (0127fb6).
    """
    rules = _Rules(vocabulary_size=vocabulary_size, label_smoothing=label_smoothing, soft_cap=soft_cap)
    found: tuple[Tensor, Tensor] = _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        states, weight, targets, factors, rules, torch.is_grad_enabled()
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """What scores are, and which probabilities are wanted."""

    vocabulary_size: int
    label_smoothing: float
    soft_cap: float | None

    @property
    def of_others(self) -> float:
        """Wanted probability of every id but the target."""
        return self.label_smoothing / (self.vocabulary_size - 1)

    @property
    def extra_of_target(self) -> float:
        """What the target's wanted probability has above the others'."""
        return 1 - self.label_smoothing - self.of_others

    def capped(self, scores: Tensor) -> Tensor:
        return scores if self.soft_cap is None else (scores / self.soft_cap).tanh() * self.soft_cap

    def tiles(self) -> list[slice]:
        size = self.vocabulary_size
        return [slice(start, min(start + _TILE_IDS, size)) for start in range(0, size, _TILE_IDS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """Some targets with their scores.

    Args:
        scores: Without soft-cap, in the format of the product.
        highest: Largest score of each target, soft-cap applied: [targets, 1].
        log_total: Logarithm of the sum of exp(score - highest): [targets, 1].
    """

    states: Tensor
    weight: Tensor
    targets: Tensor
    factors: Tensor
    rules: _Rules
    scores: Tensor
    highest: Tensor
    log_total: Tensor

    def losses(self) -> Tensor:
        """Return each target's loss: minus the sum of wanted probability times log-probability."""
        of_target = self.rules.capped(self.scores.gather(1, self.targets[:, None]).to(self.highest.dtype))
        losses = self.log_total - self.rules.extra_of_target * (of_target - self.highest)
        if self.rules.of_others:
            losses -= self.rules.of_others * _added(self.lowered(tile) for tile in self.rules.tiles())
        return losses[:, 0]

    def differentiate(self, states_gradient: Tensor | None, weight_gradient: Tensor | None) -> None:
        """Write the states' gradient, and add the weight's to what other chunks gave."""
        of_states = torch.zeros_like(self.states, dtype=self.highest.dtype)
        for tile in self.rules.tiles():
            of_scores = self._gradient(tile).to(self.states.dtype)
            if states_gradient is not None:
                _add_product(of_states, of_scores, self.weight[tile].to(of_scores.dtype))
            if weight_gradient is not None:
                _add_product(weight_gradient[tile], of_scores.t(), self.states)
        if states_gradient is not None:
            states_gradient.copy_(of_states)

    def lowered(self, tile: slice) -> Tensor:
        """Return a tile's scores minus each target's highest, in fp32 or wider: small losses keep their digits."""
        return self.rules.capped(self.scores[:, tile].to(self.highest.dtype)) - self.highest

    def _gradient(self, tile: slice) -> Tensor:
        """Return the derivative of factor * loss by a tile's scores: factor * (p - wanted) times the soft-cap's."""
        lowered = self.lowered(tile)
        gradient = (lowered - self.log_total).exp_()
        if self.rules.of_others:
            gradient -= self.rules.of_others
        places = self.targets[:, None] - tile.start
        is_here = (places >= 0) & (places < gradient.shape[1])
        # One place a row, so that the order of addition, and the last digit, is never in question.
        gradient.scatter_add_(
            1, places.clamp(0, gradient.shape[1] - 1), is_here.to(gradient.dtype) * -self.rules.extra_of_target
        )
        gradient *= self.factors[:, None]
        if self.rules.soft_cap is not None:
            gradient *= 1 - ((lowered + self.highest) / self.rules.soft_cap) ** 2
        return gradient


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        targets: Tensor,
        factors: Tensor,
        rules: _Rules,
        is_differentiated: bool,
    ) -> tuple[Tensor, Tensor]:
        device = states.device.type
        product = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        exact = torch.promote_types(product, torch.float32)
        factors = factors.to(exact)
        losses = torch.empty_like(factors)
        states_gradient = torch.empty_like(states) if is_differentiated and ctx.needs_input_grad[0] else None
        weight_gradient = torch.zeros_like(weight) if is_differentiated and ctx.needs_input_grad[1] else None
        num_rows = max(1, _CHUNK_BYTES // (rules.vocabulary_size * product.itemsize))
        with torch.autocast(device, enabled=False):
            for start in range(0, len(states), num_rows):
                rows = slice(start, start + num_rows)
                chunk = _score(states[rows].to(product), weight, targets[rows], factors[rows], rules)
                losses[rows] = chunk.losses()
                if states_gradient is not None or weight_gradient is not None:
                    chunk.differentiate(None if states_gradient is None else states_gradient[rows], weight_gradient)
        ctx.gradients = (states_gradient, weight_gradient)
        ctx.mark_non_differentiable(losses)
        return torch.dot(losses, factors), losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, share_gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        assert ctx.gradients is not None, "this gradient was taken before"
        states_gradient, weight_gradient = ctx.gradients
        ctx.gradients = None
        return _times(states_gradient, share_gradient), _times(weight_gradient, share_gradient), None, None, None, None


def _score(states: Tensor, weight: Tensor, targets: Tensor, factors: Tensor, rules: _Rules) -> _Chunk:
    """Score a chunk of targets; `states` are in the format of the product, `factors` in that of the loss."""
    scores = states.new_empty(len(states), rules.vocabulary_size)
    for tile in rules.tiles():
        scores[:, tile] = states @ weight[tile].to(states.dtype).t()
    highest = rules.capped(scores.amax(dim=1, keepdim=True).to(factors.dtype))
    chunk = _Chunk(
        states=states,
        weight=weight,
        targets=targets,
        factors=factors,
        rules=rules,
        scores=scores,
        highest=highest,
        log_total=torch.empty_like(highest),
    )
    chunk.log_total.copy_(_added(chunk.lowered(tile).exp_() for tile in rules.tiles()).log_())
    return chunk


def _added(tiles: Iterable[Tensor]) -> Tensor:
    """Return the sum of each target's numbers over all tiles: [targets, 1]."""
    return torch.cat([tile.sum(dim=1, keepdim=True) for tile in tiles], dim=1).sum(dim=1, keepdim=True)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add left @ right to `total`, which may be of a wider format than the product."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right


def _times(gradient: Tensor | None, factor: Tensor) -> Tensor | None:
    """Scale in place. On a CPU, where looking costs nothing, the usual factor of 1 saves a pass over the table."""
    if gradient is None or (factor.device.type == "cpu" and factor.item() == 1.0):
        return gradient
    return gradient.mul_(factor)
