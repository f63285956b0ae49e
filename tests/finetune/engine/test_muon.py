"""Muon against its definition, and that one optimizer with it saves and continues as any other does."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from finetune.engine.muon import orthogonalize
from finetune.engine.optimizer import AdamW, Muon
from finetune.engine.optimizer_state import load_optimizer_state, optimizer_state


def group_of(named: dict[str, nn.Parameter], weight_decay: float = 0.0) -> dict[str, Any]:
    rate = Muon().learning_rate
    return {"params": list(named.items()), "peak_learning_rate": rate, "lr": rate, "weight_decay": weight_decay}


def parameters() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"mlp.weight": (6, 4), "norm.weight": (4,), "embed_tokens.weight": (9, 4), "patch.weight": (2, 3, 2, 2)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def step(optimizer: torch.optim.Optimizer, named: dict[str, nn.Parameter], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in named.values():
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()


@pytest.mark.parametrize("shape", [(16, 16), (8, 32), (32, 8)])
def test_an_orthogonalized_matrix_keeps_its_directions_and_loses_its_scales(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    aligned = left.T @ orthogonalize(matrix) @ right.T
    assert torch.linalg.svdvals(orthogonalize(matrix)).min() > 0.6
    assert torch.linalg.svdvals(orthogonalize(matrix)).max() < 1.3
    off_diagonal = aligned - torch.diag(aligned.diagonal())
    assert off_diagonal.abs().max() < 0.05


def test_only_matrices_of_layers_move_by_muon_and_the_others_as_adamw_moves_them() -> None:
    named, twins = parameters(), parameters()
    choice = Muon(beta1=0.9, beta2=0.999)
    muon = choice.build([group_of(named)])
    others = [(name, parameter) for name, parameter in twins.items() if name != "mlp.weight"]
    adam = AdamW().build([{"params": others, "lr": choice.adam_learning_rate, "weight_decay": 0.0}])
    for seed in (3, 4):
        step(muon, named, seed)
        step(adam, twins, seed)
    for name, parameter in others:
        torch.testing.assert_close(named[name], parameter, rtol=1e-5, atol=1e-7)
    # Each of the four directions moves by about the learning rate, times sqrt(6 / 4) for the tall matrix, twice.
    moved = torch.linalg.svdvals((named["mlp.weight"] - twins["mlp.weight"]).detach())
    assert moved.max() < 2 * 1.3 * choice.learning_rate * 1.5**0.5
    assert moved.min() > 0.1 * choice.learning_rate


def test_the_groups_tell_both_learning_rates_and_follow_the_schedule() -> None:
    optimizer = Muon(learning_rate=0.02, adam_learning_rate=0.001).build([group_of(parameters())])
    rates = {group["is_matrix"]: group["peak_learning_rate"] for group in optimizer.param_groups}
    assert rates == {True: 0.02, False: pytest.approx(0.001)}


def test_weight_decay_shrinks_before_the_update() -> None:
    named, plain = parameters(), parameters()
    for parameters_of, weight_decay in ((named, 0.5), (plain, 0.0)):
        step(Muon().build([group_of(parameters_of, weight_decay)]), parameters_of, 5)
    start = parameters()["mlp.weight"]
    torch.testing.assert_close(plain["mlp.weight"] - named["mlp.weight"], Muon().learning_rate * 0.5 * start)


def test_a_saved_optimizer_continues_bit_for_bit() -> None:
    straight, resumed = parameters(), parameters()
    optimizer = Muon().build([group_of(straight)])
    for seed in (1, 2, 3):
        step(optimizer, straight, seed)
    first = Muon().build([group_of(resumed)])
    for seed in (1, 2):
        step(first, resumed, seed)
    tensors, values = optimizer_state(first)
    copies: dict[str, Tensor] = {name: tensor.clone() for name, tensor in tensors.items()}
    second = Muon().build([group_of(resumed)])
    load_optimizer_state(second, copies, values)
    step(second, resumed, 3)
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_adapters_are_refused() -> None:
    with pytest.raises(ValueError, match="optimizer=muon trains no adapters"):
        Muon().build([group_of({"q_proj.lora_A.weight": nn.Parameter(torch.ones(2, 2))})])
