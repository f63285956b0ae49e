from collections.abc import Callable

import pytest
import torch
from torch import nn

from finetune.model.image_encoder import image_states, normalized_image_states
from finetune.settings import Checkpointing


@pytest.fixture
def model(small_paligemma: Callable[..., nn.Module]) -> nn.Module:
    return small_paligemma(2)


@torch.no_grad()
def test_black_is_minus_one_and_white_is_one(model: nn.Module) -> None:
    for level, normalized in ((0, -1.0), (255, 1.0)):
        pixels = torch.full((1, 3, 28, 28), level, dtype=torch.uint8)
        assert torch.equal(
            image_states(model, pixels), normalized_image_states(model, torch.full(pixels.shape, normalized))
        )


@torch.no_grad()
def test_image_tokens_equal_those_of_transformers(model: nn.Module) -> None:
    pixels = torch.rand(3, 3, 28, 28) * 2 - 1
    expected = model.get_image_features(pixels).pooler_output
    torch.testing.assert_close(
        model.model.multi_modal_projector(normalized_image_states(model, pixels)), expected, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("rung", Checkpointing)
def test_one_trained_parameter_makes_the_whole_encoder_differentiable(model: nn.Module, rung: Checkpointing) -> None:
    pixels = torch.randint(0, 256, (1, 3, 28, 28), dtype=torch.uint8)
    model.requires_grad_(False)
    assert not image_states(model, pixels, rung=rung).requires_grad
    first = model.model.vision_tower.embeddings.patch_embedding.weight.requires_grad_(True)
    image_states(model, pixels, rung=rung).sum().backward()
    assert first.grad.abs().sum() > 0
