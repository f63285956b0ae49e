"""What is traced on tensors without numbers is what a real step holds."""

from dataclasses import replace

import pytest
import torch

from finetune.engine.optimizer import AdamW
from finetune.engine.parameter_groups import parameter_groups
from finetune.engine.schedule import Constant
from finetune.engine.step import MicroBatchLosses, StepRules
from finetune.memory.prediction import LADDER, Shape, Subject, batch_of
from finetune.memory.tracing import LiveBytes, leaves_of
from finetune.model.choices import TinyModel
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.peft.method import PeftMethod
from finetune.settings import Checkpointing, PartFlags, PartMultipliers, TrainingSettings

MODEL = TinyModel(vision_width=32, decoder_width=64, vision_depth=2, decoder_depth=4)
SHAPE = Shape(num_examples=3, images=1, text_tokens=24, target_tokens=20)
METHODS = {"lora": Lora(rank=4), "full": FullFineTuning()}


def subject(method: str) -> Subject:
    return Subject(
        model=MODEL,
        peft=METHODS[method],
        freeze=PartFlags(),
        optimizer=AdamW(),
        learning_rates=PartMultipliers(),
        training=TrainingSettings(),
    )


@pytest.mark.parametrize("rung", LADDER)
@pytest.mark.parametrize("method", METHODS)
def test_a_traced_step_takes_what_a_real_one_takes(method: str, rung: Checkpointing) -> None:
    traced = subject(method).trace(SHAPE, rung)
    peak, saved = real_step(METHODS[method], rung)
    assert traced.peak == pytest.approx(peak, rel=0.02)
    assert traced.saved == pytest.approx(saved, rel=0.02)


def real_step(method: PeftMethod, rung: Checkpointing) -> tuple[int, int]:
    """Return the peak of two steps that are really computed, and what the last forward keeps, in bytes."""
    loaded = MODEL.load()
    method.apply(loaded.model, PartFlags(), MODEL.trainable_dtype)
    choice = AdamW()
    optimizer = choice.build(parameter_groups(loaded.model, choice, PartMultipliers()))
    training = replace(TrainingSettings(), gradient_checkpointing=rung)
    vocabulary_size = loaded.tokenizer.vocabulary_size
    rules = StepRules(training=training, schedule=Constant(), total_steps=1, vocabulary_size=vocabulary_size, seed=0)
    batch = batch_of(SHAPE, MODEL.read_inputs())
    with LiveBytes() as counter:
        counter.count([*loaded.model.parameters(), *loaded.model.buffers(), *leaves_of(batch)])
        losses = MicroBatchLosses(loaded.model, rules).train()
        for _ in range(2):
            before = counter.live
            share, sums = losses(batch, batch.example_weights)
            saved = counter.live - before
            share.backward()
            optimizer.step()
            optimizer.zero_grad()
            del share, sums
    return counter.peak, saved


def test_what_does_not_depend_on_the_batch_is_counted_by_its_formats() -> None:
    traced = subject("full").trace(SHAPE, Checkpointing.none)
    num_parameters = sum(parameter.numel() for parameter in MODEL.load().model.parameters())
    assert traced.gradients == 4 * num_parameters
    # Two moments, and a step counter for each parameter.
    assert traced.optimizer_states == pytest.approx(8 * num_parameters, rel=0.01)
    assert traced.weights == pytest.approx(4 * num_parameters, rel=0.01)


def test_each_rung_of_the_ladder_keeps_less_than_the_one_before() -> None:
    saved = [subject("lora").trace(SHAPE, rung).saved for rung in LADDER]
    none, quarter, half, mlp, all_, offload = saved
    assert none > quarter > half > all_ >= offload
    # Below half where the MLP is as wide as the published models', which the tiny one's is not.
    assert none > mlp > all_


@pytest.mark.parametrize("method", METHODS)
def test_the_largest_micro_batch_is_the_largest(method: str) -> None:
    prediction = subject(method).predict(SHAPE, Checkpointing.none)
    budget = 1.7 * prediction.step.peak
    largest = prediction.largest(budget)
    assert largest > SHAPE.num_examples
    assert peak_of(method, largest) <= budget * 1.01
    assert peak_of(method, largest + 1) > budget * 0.99


def peak_of(method: str, num_examples: int) -> int:
    return subject(method).trace(replace(SHAPE, num_examples=num_examples), Checkpointing.none).peak


def test_where_the_update_does_not_fit_no_micro_batch_does() -> None:
    # A layer that is computed again and again leaves the peak to the update.
    prediction = subject("full").predict(replace(SHAPE, num_examples=1), Checkpointing.all)
    assert prediction.largest(prediction.step.update_peak - 1) == 0


def test_tracing_leaves_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    subject("lora").trace(SHAPE, Checkpointing.none)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32
