"""An optimizer that is saved and restored goes on as if nothing had happened."""

import json

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from finetune.engine.adamw_bf16 import AdamWBf16
from finetune.engine.optimizer import Adafactor, AdamW, AdamW8bit, Muon, OptimizerChoice, Sgd
from finetune.engine.optimizer_state import load_optimizer_state, optimizer_state
from finetune.settings import Precision


def new_optimizer(choice: OptimizerChoice, weights: dict[str, nn.Parameter]) -> Optimizer:
    return choice.build(
        [
            {"params": [(name, weight)], "lr": 0.1, "peak_learning_rate": 0.1, "weight_decay": 0.1}
            for name, weight in weights.items()
        ]
    )


def new_weights(*names: str) -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return {name: nn.Parameter(torch.randn(4, 2048, generator=generator)) for name in names}


def train(weights: dict[str, nn.Parameter], optimizer: Optimizer) -> None:
    for _ in range(3):
        optimizer.zero_grad()
        torch.stack([weight.pow(2).sum() for weight in weights.values()]).sum().backward()
        optimizer.step()


CHOICES = [
    AdamW(),
    AdamW8bit(),
    AdamWBf16(),
    AdamWBf16(state_dtype=Precision.bf16),
    Adafactor(),
    Sgd(),
    Muon(),
]


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: type(choice).__name__)
def test_a_restored_optimizer_continues_bit_for_bit_whatever_its_parameters_order(choice: OptimizerChoice) -> None:
    if isinstance(choice, AdamW8bit):
        pytest.importorskip("bitsandbytes", reason="the extra `bnb` is not installed")
    weights = new_weights("first", "second")
    if isinstance(choice, AdamWBf16):
        weights = {name: nn.Parameter(weight.detach().bfloat16()) for name, weight in weights.items()}
    optimizer = new_optimizer(choice, weights)
    train(weights, optimizer)
    tensors, values = optimizer_state(optimizer)
    copies: dict[str, Tensor] = load(save({name: tensor.clone() for name, tensor in tensors.items()}))

    restored = {name: nn.Parameter(weights[name].detach().clone()) for name in ("second", "first")}
    other = new_optimizer(choice, restored)
    load_optimizer_state(other, copies, json.loads(json.dumps(values)))
    train(weights, optimizer)
    train(restored, other)
    after, restored_after = optimizer_state(optimizer)[0], optimizer_state(other)[0]
    for name, weight in weights.items():
        assert torch.equal(weight, restored[name])
    assert {name: tensor.dtype for name, tensor in restored_after.items()} == {
        name: tensor.dtype for name, tensor in after.items()
    }
    assert all(torch.equal(after[name], restored_after[name]) for name in after)


def test_an_optimizer_that_never_stepped_has_an_empty_memory_that_can_be_restored() -> None:
    optimizer = new_optimizer(AdamW(), new_weights("first"))
    tensors, values = optimizer_state(optimizer)
    assert tensors == {}
    load_optimizer_state(optimizer, tensors, values)


def test_the_memory_of_other_parameters_is_refused_by_name() -> None:
    weights = new_weights("first", "second")
    optimizer = new_optimizer(AdamW(), weights)
    train(weights, optimizer)
    tensors, values = optimizer_state(optimizer)
    with pytest.raises(ValueError, match="1 differ, second among them"):
        load_optimizer_state(new_optimizer(AdamW(), new_weights("first")), tensors, values)
