"""Our forward and loss against the original's own numbers, on its weights (../shared/oracles): packed rows too."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from finetune.data.packing import Batch, pack
from finetune.engine.loss import example_loss_weights, micro_batch_loss
from finetune.evaluate.generate import generate
from finetune.model import image_encoder
from finetune.model.forward import all_states, target_states, vocabulary_logits
from finetune.model.image_encoder import normalized_image_states
from finetune.model.npz import array_blocks, load_npz, parameters_by_name
from finetune.model.npz_checkpoint import inspect_npz
from finetune.model.npz_config import dimensions_of
from finetune.model.npz_layout import array_rules
from finetune.settings import Checkpointing, Normalization, Precision
from finetune.types import TokenizedExample

# One past the table: a placeholder's own row is never looked at.
VOCABULARY_SIZE = IMAGE_TOKEN = 1536
IMAGE_TOKENS = 16

Arrays = Mapping[str, np.ndarray]


@pytest.fixture(params=[1, 2], ids=["paligemma1", "paligemma2"])
def generation(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture
def expected(oracles: Path, generation: int) -> Arrays:
    return dict(np.load(oracles / f"paligemma{generation}_tiny.expected.npz"))


@pytest.fixture
def model(oracles: Path, generation: int, expected: Arrays, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Load the original's weights; its images are not whole grey levels, so they bypass uint8."""
    checkpoint = inspect_npz(oracles / f"paligemma{generation}_tiny.checkpoint.npz", setting="model.path")
    model, _ = load_npz(checkpoint, Precision.fp32)
    images = torch.from_numpy(expected["image"]).permute(0, 3, 1, 2)

    def read(model: nn.Module, pixels: Tensor, *, rung: Checkpointing) -> Tensor:
        return normalized_image_states(model, images[pixels[:, 0, 0, 0].long()])

    monkeypatch.setattr(image_encoder, "image_states", read)
    return model


def batch_of(expected: Arrays, *, row_tokens: int | None = None, with_suffix: bool = True) -> Batch:
    """Lay the oracle's texts out as our examples; each image's first pixel says which one it is."""
    examples = []
    for index, (text, is_suffix, is_input) in enumerate(
        zip(expected["text"], expected["mask_loss"], expected["mask_input"], strict=True)
    ):
        kept = (is_input == 1) & (with_suffix | (is_suffix == 0))
        examples.append(
            TokenizedExample(
                sample_id=str(index),
                input_ids=np.concatenate([np.full(IMAGE_TOKENS, IMAGE_TOKEN), text[kept]]),
                is_suffix=np.concatenate([np.zeros(IMAGE_TOKENS), is_suffix[kept]]).astype(bool),
                num_image_tokens=IMAGE_TOKENS,
            )
        )
    which = torch.arange(len(examples), dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 56, 56)
    return pack(examples, which, image_token_id=IMAGE_TOKEN, row_tokens=row_tokens)


@pytest.mark.parametrize("row_tokens", [None, 80])
@torch.no_grad()
def test_logits_are_the_originals(model: nn.Module, expected: Arrays, row_tokens: int | None) -> None:
    batch = batch_of(expected, row_tokens=row_tokens)
    logits = vocabulary_logits(model, all_states(model, batch), VOCABULARY_SIZE)
    for example, theirs in enumerate(expected["logits"]):
        text_logits = logits[batch.example_ids == example][IMAGE_TOKENS:-1]
        torch.testing.assert_close(text_logits, torch.from_numpy(theirs[: len(text_logits)]), atol=1e-5, rtol=0)


def window_loss(model: nn.Module, expected: Arrays, batch: Batch) -> tuple[Float[Tensor, " examples"], Tensor]:
    num_targets = int(batch.num_targets.sum())
    weights = example_loss_weights(batch, Normalization.example, num_examples=3, num_targets=num_targets)
    loss, sums = micro_batch_loss(
        model,
        target_states(model, batch),
        batch,
        weights,
        vocabulary_size=VOCABULARY_SIZE,
        label_smoothing=float(expected["label_smoothing"]),
    )
    return sums / batch.num_targets, loss


@pytest.mark.parametrize("row_tokens", [None, 80])
def test_loss_and_every_gradient_are_the_originals(model: nn.Module, expected: Arrays, row_tokens: int | None) -> None:
    means, loss = window_loss(model, expected, batch_of(expected, row_tokens=row_tokens))
    loss.backward()
    torch.testing.assert_close(means, torch.from_numpy(expected["per_example_loss"]), atol=0, rtol=1e-6)
    assert loss.item() == pytest.approx(float(expected["loss"]), rel=1e-6)
    gradients = {name: parameter.grad for name, parameter in parameters_by_name(model).items()}
    rules = array_rules(dimensions_of(model.config, vocabulary_size=VOCABULARY_SIZE))
    assert {f"grad/params/{rule.array}" for rule in rules} == {name for name in expected if name.startswith("grad/")}
    for rule in rules:
        ours = np.concatenate(list(array_blocks(rule, gradients.__getitem__)))
        theirs = expected[f"grad/params/{rule.array}"]
        # The gradient of the image encoder's key biases is zero but for rounding.
        assert np.linalg.norm(ours - theirs) <= 1e-5 * np.linalg.norm(theirs) + 1e-7, rule.array


def test_greedy_ids_are_the_originals(model: nn.Module, expected: Arrays) -> None:
    prefixes = batch_of(expected, with_suffix=False)
    found = generate(model, prefixes, max_new_tokens=6, num_beams=1, eos_id=-1, vocabulary_size=VOCABULARY_SIZE)
    assert found == expected["greedy_tokens"].tolist()
