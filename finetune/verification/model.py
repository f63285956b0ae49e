"""A PaliGemma against the original's numbers: the code of training and generation, on the original's weights."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from finetune.data.packing import Batch
from finetune.engine.loss import example_loss_weights, micro_batch_loss
from finetune.evaluate.generate import generate
from finetune.model.forward import all_states, target_states, vocabulary_logits
from finetune.model.image_encoder import embed_images
from finetune.settings import Normalization
from finetune.verification.arrays import numbers
from finetune.verification.comparison import Comparison, largest_difference
from finetune.verification.expectation import read_expectation
from finetune.verification.gradients import compare_gradients
from finetune.verification.optimizer_step import compare_updates
from finetune.verification.subject import Subject, load_subject
from finetune.verification.written_back import compare_written
from finetune.wording import counted

# float32 on both sides, added up in other orders.
_ABSOLUTE = 2e-5
_RELATIVE = 1e-6
_MAX_DIFFERENCE = "max |difference|"
# No id: the original goes on after EOS.
_NEVER = -1


def compare_model(checkpoint: Path, expected: Mapping[str, np.ndarray]) -> tuple[Comparison, ...]:
    """Compare everything that `expected` holds.

    Raises:
        ValueError: If the two files are no such pair.
    """
    subject = load_subject(checkpoint, read_expectation(expected))
    found = [compare_written(subject.model, subject.checkpoint)]
    with subject.showing():
        batch = subject.batch()
        if "image_tokens" in expected:
            found.append(_image_tokens(subject, batch))
        found.append(_logits(subject, batch))
        found += _losses(subject, batch)
        gradients = subject.expectation.gradients
        if gradients:
            ours = subject.original_arrays(_gradient)
            found += compare_gradients(ours, gradients)
        if "greedy_tokens" in expected:
            found.append(_greedy_tokens(subject))
        if gradients and ours.keys() == gradients.keys():
            found += compare_updates(subject, batch, ours)
    return tuple(found)


@torch.no_grad()
def _image_tokens(subject: Subject, batch: Batch) -> Comparison:
    theirs = subject.expectation.outputs["image_tokens"]
    width = subject.dimensions.decoder_width
    ours = embed_images(subject.model, batch).reshape(batch.num_examples, -1, width).numpy()
    return Comparison(
        quantity="image tokens",
        measure=_MAX_DIFFERENCE,
        found=largest_difference(ours, theirs.reshape(len(theirs), -1, theirs.shape[-1])),
        tolerance=_ABSOLUTE,
        detail=f"{counted(len(batch.pixels), 'image')} of {counted(subject.dimensions.num_image_tokens, 'token')}",
    )


@torch.no_grad()
def _logits(subject: Subject, batch: Batch) -> Comparison:
    """Compare the text's positions, padding left out: what it computes there nobody reads, and differs in form."""
    theirs, size = subject.expectation.outputs["logits"], subject.dimensions.vocabulary_size
    numbers(subject.expectation.outputs, "logits", batch.num_examples, "tokens", size)
    ours = vocabulary_logits(subject.model, all_states(subject.model, batch), size)[:, subject.num_image_tokens :]
    lengths = np.minimum(subject.expectation.lengths, theirs.shape[1])
    differences = [
        largest_difference(mine[:length].numpy(), original[:length])
        for mine, original, length in zip(ours, theirs, lengths.tolist(), strict=True)
    ]
    return Comparison(
        quantity="logits",
        measure=_MAX_DIFFERENCE,
        found=float(np.max(differences)),
        tolerance=_ABSOLUTE,
        detail=f"{lengths.sum()} positions of {size}; largest logit {np.abs(theirs).max():.3g}",
    )


def _losses(subject: Subject, batch: Batch) -> list[Comparison]:
    """Compare the losses, and leave the gradient in the parameters."""
    model, expectation = subject.model, subject.expectation
    num_targets = int(batch.num_targets.sum())
    weights = example_loss_weights(
        batch, Normalization.example, num_examples=batch.num_examples, num_targets=num_targets
    )
    loss, sums = micro_batch_loss(
        model,
        target_states(model, batch),
        batch,
        weights,
        vocabulary_size=subject.dimensions.vocabulary_size,
        label_smoothing=expectation.label_smoothing,
    )
    loss.backward()  # type: ignore[no-untyped-call]
    ours = {"per_example_loss": sums / batch.num_targets.clamp(min=1), "loss": loss.detach()}
    details = {
        "per_example_loss": f"{num_targets} targets, label smoothing {expectation.label_smoothing:g}",
        "loss": f"{loss.item():.6f}",
    }
    return [
        Comparison(
            quantity=name.replace("_", " ").replace("per example", "per-example"),
            measure="relative",
            found=_relative_difference(value.numpy(), expectation.outputs[name]),
            tolerance=_RELATIVE,
            detail=details[name],
        )
        for name, value in ours.items()
        if name in expectation.outputs
    ]


def _gradient(name: str, parameter: torch.Tensor) -> torch.Tensor:
    assert parameter.grad is not None, name
    return parameter.grad


def _greedy_tokens(subject: Subject) -> Comparison:
    theirs = subject.expectation.outputs["greedy_tokens"]
    found = generate(
        subject.model,
        subject.batch(with_suffix=False),
        max_new_tokens=theirs.shape[1],
        num_beams=1,
        eos_id=_NEVER,
        vocabulary_size=subject.dimensions.vocabulary_size,
    )
    return Comparison(
        quantity="greedy tokens",
        measure="differing values",
        found=float((np.array(found) != theirs).sum()),
        tolerance=0,
        detail=f"{theirs.size} ids, {len(np.unique(theirs))} of them distinct",
    )


def _relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Return the largest difference relative to the original's value; 0 where both are 0."""
    difference = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    scale = np.abs(theirs.astype(np.float64))
    return float(np.divide(difference, scale, out=np.where(difference == 0, 0.0, np.inf), where=scale > 0).max())
