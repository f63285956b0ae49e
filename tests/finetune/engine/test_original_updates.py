"""Forty updates against the original's chain of transformations, written down again in numpy and float64.

The chain of big_vision's optax.py (0127fb6), over what is not frozen: clip by the global norm, Adam, times the learning
rate, plus `wd` times the weight for kernels, times the schedule's factor, subtracted.
"""

import math
import re
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from finetune.data.packing import Batch
from finetune.engine.loss import example_loss_weights, micro_batch_loss
from finetune.engine.optimizer import AdamW
from finetune.engine.schedule import Cosine
from finetune.engine.step import Learner, train_step
from finetune.model.forward import target_states
from finetune.settings import Normalization, PartFlags, TrainingSettings
from finetune.types import TokenizedExample

NUM_STEPS, LEARNING_RATE, WD = 40, 3e-3, 3e-4
# What the original calls kernels lies in the image encoder and the connector alone.
KERNEL = re.compile(r".*(vision_tower|multi_modal_projector).*(patch_embedding|_proj|fc[12]|linear)\.weight")

Arrays = Mapping[str, np.ndarray]


class OriginalChain:
    """The state of the original's optimizer."""

    def __init__(self, weights: Arrays) -> None:
        self.weights = dict(weights)
        self.first = {name: np.zeros_like(weight) for name, weight in weights.items()}
        self.second = {name: np.zeros_like(weight) for name, weight in weights.items()}

    def update(self, step: int, gradients: Arrays) -> float:
        """Do update `step`, from 0; return the gradient's norm."""
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients.values()))
        progress = max(0.0, (step - 2) / (NUM_STEPS - 2))
        factor = min(1.0, step / 2) * 0.5 * (1 + math.cos(math.pi * progress))
        for name, gradient in gradients.items():
            clipped = gradient / max(1.0, norm)
            self.first[name] = 0.9 * self.first[name] + 0.1 * clipped
            self.second[name] = 0.999 * self.second[name] + 0.001 * clipped**2
            scaled = self.first[name] / (1 - 0.9 ** (step + 1))
            scaled /= np.sqrt(self.second[name] / (1 - 0.999 ** (step + 1))) + 1e-8
            decay = WD * self.weights[name] if KERNEL.fullmatch(name) else 0.0
            self.weights[name] = self.weights[name] - factor * (LEARNING_RATE * scaled + decay)
        return norm


def arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: tensor.detach().double().numpy().copy() for name, tensor in tensors.items()}


def gradients_of(learner: Learner, trained: Mapping[str, Tensor], batch: Batch) -> dict[str, np.ndarray]:
    weights = example_loss_weights(batch, Normalization.example, num_examples=batch.num_examples, num_targets=0)
    states = target_states(learner.model, batch)
    loss, _ = micro_batch_loss(learner.model, states, batch, weights, vocabulary_size=40)
    found = torch.autograd.grad(loss, list(trained.values()))
    return arrays(dict(zip(trained, found, strict=True)))


@pytest.mark.parametrize(
    "freeze", [PartFlags(), PartFlags(image_encoder=True, connector=True)], ids=["everything", "img frozen"]
)
def test_forty_updates_are_the_originals(
    new_learner: Callable[..., Learner],
    random_examples: Callable[..., list[TokenizedExample]],
    batch_of: Callable[..., Batch],
    freeze: PartFlags,
) -> None:
    learner = new_learner(
        choice=AdamW(learning_rate=LEARNING_RATE, weight_decay=WD / LEARNING_RATE),
        training=TrainingSettings(clip_norm=1.0),
        schedule=Cosine(warmup_ratio=0.05),
        freeze=freeze,
        total_steps=NUM_STEPS,
    )
    parameters = dict(learner.model.named_parameters())
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    before = arrays(parameters)
    chain = OriginalChain(arrays(trained))
    norms = []
    for step in range(NUM_STEPS):
        batch = batch_of(random_examples(4, seed=step % 3))
        norms.append(chain.update(step, gradients_of(learner, trained, batch)))
        assert train_step(learner, step, [batch]).grad_norm == pytest.approx(norms[-1], rel=1e-5)
        if step == 0:
            assert all(np.array_equal(weight, before[name]) for name, weight in arrays(parameters).items())
    after = arrays(parameters)
    assert min(norms) < 1 < max(norms), "clipping must be seen to begin and to end"
    assert max(float(np.abs(after[name] - weight).max()) for name, weight in chain.weights.items()) < 2e-6
    assert all(np.array_equal(after[name], before[name]) for name in parameters.keys() - trained.keys())
    moved = max(float(np.abs(after[name] - before[name]).max()) for name in trained)
    assert moved > 0.01
    is_image = [name.startswith(("model.vision_tower", "model.multi_modal_projector")) for name in trained]
    assert any(is_image) != freeze.image_encoder
