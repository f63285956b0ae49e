"""What is captured of a learner is all of it, its own copy, and puts the learner back to the bit."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from finetune.engine.capture import Captured, capture, restore
from finetune.engine.optimizer import AdamW, Sgd
from finetune.engine.step import Learner, train_step
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora


def steps(learner: Learner, numbers: range, random_examples: Callable[..., Any], batch_of: Callable[..., Any]) -> None:
    for step in numbers:
        train_step(learner, step, [batch_of(random_examples(4, seed=step))])


@pytest.mark.parametrize("choice", [AdamW(learning_rate=3e-3), Sgd(learning_rate=0.01)], ids=["adamw", "sgd"])
@pytest.mark.parametrize("peft", [Lora(rank=2), FullFineTuning()], ids=["lora", "full"])
def test_a_learner_that_is_put_back_goes_on_to_the_bit(
    peft: Lora | FullFineTuning,
    choice: AdamW | Sgd,
    new_learner: Callable[..., Learner],
    random_examples: Callable[..., Any],
    batch_of: Callable[..., Any],
) -> None:
    learner = new_learner(peft, choice=choice)
    steps(learner, range(2), random_examples, batch_of)
    middle = capture(learner)
    before = {name: tensor.clone() for name, tensor in middle.trained.items()}
    steps(learner, range(2, 4), random_examples, batch_of)
    # Training on did not reach what was captured.
    assert_same(middle.trained, before)
    end = capture(learner)
    assert any(not torch.equal(end.trained[name], before[name]) for name in before)

    other = new_learner(peft, choice=choice)
    restore(other, middle)
    assert_captured_alike(capture(other), middle)
    steps(other, range(2, 4), random_examples, batch_of)
    assert_captured_alike(capture(other), end)


def test_everything_that_trains_is_captured_whole_and_apart(
    new_learner: Callable[..., Learner], random_examples: Callable[..., Any], batch_of: Callable[..., Any]
) -> None:
    learner = new_learner(Lora(rank=2))
    steps(learner, range(1), random_examples, batch_of)
    captured = capture(learner)
    trained = {name: one for name, one in learner.model.named_parameters() if one.requires_grad}
    assert {name: tensor.shape for name, tensor in captured.trained.items()} == {
        name: parameter.shape for name, parameter in trained.items()
    }
    for name in trained:
        assert captured.optimizer[f"{name}|exp_avg"].shape == captured.trained[name].shape
    everything = [*captured.trained.values(), *captured.optimizer.values()]
    assert all(tensor.numel() and tensor.device.type == "cpu" for tensor in everything)
    assert len({tensor.data_ptr() for tensor in everything}) == len(everything)
    assert not {one.data_ptr() for one in everything} & {one.data_ptr() for one in learner.model.parameters()}


def test_the_state_of_another_model_is_refused(new_learner: Callable[..., Learner]) -> None:
    with pytest.raises(ValueError, match="are missing from the saved state"):
        restore(new_learner(Lora(rank=2)), capture(new_learner(FullFineTuning())))


def assert_same(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def assert_captured_alike(left: Captured, right: Captured) -> None:
    assert_same(left.trained, right.trained)
    assert_same(left.optimizer, right.optimizer)
    assert (left.values, left.scaler) == (right.values, right.scaler)
