"""One update: the same however the window is split, and none where numbers are not finite."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from finetune.data.packing import Batch
from finetune.engine.loss import example_loss_weights, micro_batch_loss
from finetune.engine.optimizer import AdamW, Sgd
from finetune.engine.step import Learner, Outcome, train_step
from finetune.model.forward import target_states
from finetune.peft.full import FullFineTuning
from finetune.peft.lora import Lora
from finetune.settings import Checkpointing, Normalization, TrainingSettings
from finetune.types import TokenizedExample

MakeExamples = Callable[..., list[TokenizedExample]]
BatchOf = Callable[..., Batch]
NewLearner = Callable[..., Learner]
PLAIN_STEP = Sgd(learning_rate=1.0, momentum=0.0)


def split(examples: list[TokenizedExample], micro_batch_size: int, batch_of: BatchOf) -> list[Batch]:
    starts = range(0, len(examples), micro_batch_size)
    return [batch_of(examples[start : start + micro_batch_size]) for start in starts]


def weights_of(learner: Learner) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in learner.model.named_parameters()}


@pytest.mark.parametrize("peft", [FullFineTuning(), Lora(rank=2)], ids=["full", "lora"])
@pytest.mark.parametrize("normalization", Normalization)
def test_gradients_of_a_window_agree_however_it_is_split(
    new_learner: NewLearner,
    random_examples: MakeExamples,
    batch_of: BatchOf,
    normalization: Normalization,
    peft: Lora | FullFineTuning,
) -> None:
    examples = random_examples(8)
    updates, losses = [], []
    for micro_batch_size in (8, 4, 2, 1):
        # One update of plain SGD at rate 1 without clipping subtracts the gradient itself.
        training = TrainingSettings(clip_norm=None, normalization=normalization)
        learner = new_learner(peft, choice=PLAIN_STEP, training=training)
        before = weights_of(learner)
        report = train_step(learner, 0, split(examples, micro_batch_size, batch_of))
        after = weights_of(learner)
        updates.append(torch.cat([(before[name] - after[name]).flatten() for name in before]))
        losses.append(report.loss)
        assert report.grad_norm == pytest.approx(float(updates[-1].norm()), rel=1e-3)
    for update, loss in zip(updates[1:], losses[1:], strict=True):
        assert float((update - updates[0]).norm() / updates[0].norm()) < 1e-5
        assert loss == pytest.approx(losses[0], rel=1e-5)


def test_the_loss_is_the_mean_over_examples_or_over_tokens(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(5))
    learner = new_learner()
    with torch.no_grad():
        states = target_states(learner.model, batch)
        _, sums = micro_batch_loss(learner.model, states, batch, torch.ones(5), vocabulary_size=40)
    expected = {
        Normalization.example: float((sums / batch.num_targets).mean()),
        Normalization.token: float(sums.sum() / batch.num_targets.sum()),
    }
    for normalization, loss in expected.items():
        report = train_step(new_learner(training=TrainingSettings(normalization=normalization)), 0, [batch])
        assert report.loss == pytest.approx(loss, rel=1e-6)
        assert (report.num_examples, report.num_targets) == (5, int(batch.num_targets.sum()))
        assert report.num_tokens == int((batch.example_ids >= 0).sum())


def test_an_update_is_the_gradient_of_the_loss_clipped_to_the_norm(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(3))
    learner = new_learner(choice=PLAIN_STEP, training=TrainingSettings(clip_norm=0.01))
    model = learner.model
    before = weights_of(learner)
    weights = example_loss_weights(batch, Normalization.example, num_examples=3, num_targets=0)
    loss, _ = micro_batch_loss(model, target_states(model, batch), batch, weights, vocabulary_size=40)
    names, parameters = zip(*((name, p) for name, p in model.named_parameters() if p.requires_grad), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())

    report = train_step(learner, 0, [batch])
    assert report.outcome is Outcome.updated
    assert report.grad_norm == pytest.approx(norm, rel=1e-5)
    after = weights_of(learner)
    for name, gradient in zip(names, gradients, strict=True):
        expected = gradient * 0.01 / norm
        assert torch.allclose(before[name] - after[name], expected, rtol=1e-2, atol=2e-7), name


def test_gradient_checkpointing_and_label_smoothing_reach_the_forward(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch = batch_of(random_examples(3))
    plain = train_step(new_learner(), 0, [batch])
    checkpointed = train_step(
        new_learner(training=TrainingSettings(gradient_checkpointing=Checkpointing.all)), 0, [batch]
    )
    smoothed = train_step(new_learner(training=TrainingSettings(label_smoothing=0.2)), 0, [batch])
    assert (checkpointed.loss, checkpointed.grad_norm) == pytest.approx((plain.loss, plain.grad_norm), rel=1e-6)
    assert smoothed.loss != pytest.approx(plain.loss, rel=1e-3)


def test_dropout_depends_on_the_step_and_on_nothing_that_happened_before(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batches = split(random_examples(4), 2, batch_of)
    # A rate of zero: the same weights at every step. B starts at zero and hides dropout, so it is set.
    learner = new_learner(Lora(rank=2, dropout=0.5), choice=AdamW(learning_rate=1e-30))
    for name, parameter in learner.model.named_parameters():
        if "lora_B" in name:
            nn.init.ones_(parameter)
    first = train_step(learner, 3, batches)
    torch.manual_seed(99)
    torch.rand(17)
    assert train_step(learner, 3, batches).loss == first.loss
    assert train_step(learner, 4, batches).loss != first.loss


@pytest.mark.parametrize("rung", [Checkpointing.none, Checkpointing.mlp, Checkpointing.all])
def test_residual_dropout_depends_on_the_step_alone_and_only_training_mode_has_it(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf, rung: Checkpointing
) -> None:
    batches = split(random_examples(4), 2, batch_of)
    training = TrainingSettings(residual_dropout=0.3, gradient_checkpointing=rung)
    learner = new_learner(choice=AdamW(learning_rate=1e-30), training=training)
    learner.losses.train()
    first = train_step(learner, 3, batches)
    torch.rand(17)
    again, other_step = train_step(learner, 3, batches), train_step(learner, 4, batches)
    assert (again.loss, again.grad_norm) == (first.loss, first.grad_norm)
    assert other_step.loss != first.loss
    learner.losses.eval()
    assert train_step(learner, 3, batches).loss == train_step(new_learner(), 3, batches).loss


def test_checkpointing_recomputes_the_same_residual_dropout(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    batch, updated = batch_of(random_examples(4), 40), []
    for rung in Checkpointing:
        training = TrainingSettings(residual_dropout=0.3, gradient_checkpointing=rung)
        learner = new_learner(choice=PLAIN_STEP, training=training)
        train_step(learner, 0, [batch])
        updated.append(weights_of(learner))
    for other in updated[1:]:
        assert all(torch.equal(updated[0][name], other[name]) for name in updated[0])


def test_stand_ins_weigh_nothing_and_a_window_of_stand_ins_changes_nothing(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    examples = random_examples(4)
    whole, alone = batch_of(examples), batch_of(examples[:3])
    with_stand_in = replace(whole, example_weights=torch.tensor([1.0, 1.0, 1.0, 0.0]))
    report, expected = (train_step(new_learner(), 0, [batch]) for batch in (with_stand_in, alone))
    assert report.loss == pytest.approx(expected.loss, rel=1e-6)
    assert (report.num_examples, report.num_targets) == (expected.num_examples, expected.num_targets)

    learner = new_learner()
    before = weights_of(learner)
    report = train_step(learner, 0, [replace(whole, example_weights=torch.zeros(4))])
    assert report.outcome is Outcome.empty
    assert math.isnan(report.loss)
    assert all(torch.equal(before[name], weight) for name, weight in weights_of(learner).items())


@pytest.mark.parametrize("peft", [FullFineTuning(), Lora(rank=2)], ids=["full", "lora"])
@pytest.mark.parametrize("micro_batch_size", [1, 2, 4])
def test_an_example_whose_text_was_cut_before_its_suffix_has_loss_0_and_counts_in_the_mean(
    new_learner: NewLearner,
    random_examples: MakeExamples,
    batch_of: BatchOf,
    peft: Lora | FullFineTuning,
    micro_batch_size: int,
) -> None:
    first, second, third, fourth = random_examples(4)
    silent = [replace(one, is_suffix=np.zeros_like(one.is_suffix)) for one in (third, fourth)]
    training = TrainingSettings(clip_norm=None)

    def update_of(examples: list[TokenizedExample]) -> tuple[float, Tensor]:
        learner = new_learner(peft, choice=PLAIN_STEP, training=training)
        before = weights_of(learner)
        report = train_step(learner, 0, split(examples, micro_batch_size, batch_of))
        assert report.outcome is Outcome.updated
        after = weights_of(learner)
        return report.loss, torch.cat([(before[name] - after[name]).flatten() for name in before])

    (loss, update), (whole_loss, whole_update) = update_of([first, second, *silent]), update_of([first, second])
    assert loss == pytest.approx(whole_loss / 2, rel=1e-6)
    assert float((update - whole_update / 2).norm() / whole_update.norm()) < 1e-5


def test_a_window_without_any_target_has_loss_0_and_changes_nothing(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    silent = [replace(one, is_suffix=np.zeros_like(one.is_suffix)) for one in random_examples(3)]
    learner = new_learner()
    before = weights_of(learner)
    report = train_step(learner, 0, [batch_of(silent)])
    assert (report.outcome, report.loss, report.num_examples) == (Outcome.empty, 0.0, 3)
    assert all(torch.equal(before[name], weight) for name, weight in weights_of(learner).items())


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_changes_no_weight_and_names_the_sample(
    new_learner: NewLearner,
    random_examples: MakeExamples,
    batch_of: BatchOf,
    monkeypatch: pytest.MonkeyPatch,
    value: float,
) -> None:
    def poisoned(
        model: nn.Module, states: Tensor, batch: Batch, weights: Tensor, **settings: float
    ) -> tuple[Tensor, Tensor]:
        share, sums = micro_batch_loss(model, states, batch, weights, vocabulary_size=40)
        is_poison = torch.tensor([sample_id == "sample-2" for sample_id in batch.sample_ids])
        return share * (value if is_poison.any() else 1.0), torch.where(is_poison, sums * value, sums)

    learner = new_learner()
    train_step(learner, 0, split(random_examples(4), 2, batch_of))
    before = weights_of(learner)
    monkeypatch.setattr("finetune.engine.step.micro_batch_loss", poisoned)
    report = train_step(learner, 1, split(random_examples(4), 2, batch_of))
    assert report.outcome is Outcome.non_finite
    assert not math.isfinite(report.loss)
    assert report.suspects == ("sample-2",)
    assert all(torch.equal(before[name], weight) for name, weight in weights_of(learner).items())
    assert all(parameter.grad is None for parameter in learner.model.parameters())
    monkeypatch.undo()
    assert train_step(learner, 2, split(random_examples(4), 2, batch_of)).outcome is Outcome.updated


def test_a_gradient_that_is_not_finite_names_the_whole_window(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    learner = new_learner()
    parameter = next(parameter for parameter in learner.model.parameters() if parameter.requires_grad)
    parameter.register_hook(lambda gradient: gradient * math.inf)
    report = train_step(learner, 0, split(random_examples(4), 2, batch_of))
    assert report.outcome is Outcome.non_finite
    assert math.isfinite(report.loss)
    assert report.suspects == tuple(f"sample-{index}" for index in range(4))


def test_learning_rates_follow_the_schedule_and_are_reported_by_part(
    new_learner: NewLearner, random_examples: MakeExamples, batch_of: BatchOf
) -> None:
    from finetune.engine.schedule import Linear

    learner = new_learner(choice=AdamW(learning_rate=1e-3))
    learner = replace(learner, rules=replace(learner.rules, schedule=Linear(warmup_ratio=0.5), total_steps=4))
    batch = batch_of(random_examples(2))
    rates = [train_step(learner, step, [batch]).learning_rates for step in range(4)]
    assert rates[0] == {"image_encoder": 0.0, "connector": 0.0, "embeddings": 0.0, "decoder": 0.0}
    assert [rate["decoder"] for rate in rates] == pytest.approx([0.0, 0.5e-3, 1e-3, 0.5e-3])
