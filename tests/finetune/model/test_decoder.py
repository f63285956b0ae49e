from collections.abc import Callable

import pytest
import torch
from torch import nn

from finetune.model.decoder import attention_soft_cap, language_model, rotary_tables, run_decoder


@pytest.mark.parametrize("generation", [1, 2])
def test_casting_the_model_does_not_round_the_rotary_angles(
    small_paligemma: Callable[..., nn.Module], generation: int
) -> None:
    decoder = language_model(small_paligemma(generation).to(torch.bfloat16))
    cosine, sine = rotary_tables(decoder, torch.tensor([[0, 1, 4000]]))
    frequencies = 10_000.0 ** (-torch.arange(8, dtype=torch.float64) / 8)
    angles = torch.tensor([0, 1, 4000], dtype=torch.float64)[:, None] * frequencies
    torch.testing.assert_close(cosine[0, 0].double(), angles.cos(), atol=1e-3, rtol=0)
    torch.testing.assert_close(sine[0, 0].double(), angles.sin(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("generation", "soft_cap"), [(1, None), (2, 3.0)])
def test_the_soft_cap_is_read_from_each_attention_module(
    small_paligemma: Callable[..., nn.Module], generation: int, soft_cap: float | None
) -> None:
    layers = language_model(small_paligemma(generation)).layers
    assert [attention_soft_cap(layer.self_attn) for layer in layers] == [soft_cap, soft_cap]


@pytest.mark.parametrize("generation", [1, 2])
@torch.no_grad()
def test_a_sliding_window_in_the_configuration_is_never_applied(
    small_paligemma: Callable[..., nn.Module], generation: int
) -> None:
    model = small_paligemma(generation)
    inputs = (torch.randn(1, 12, 32), torch.arange(12)[None], torch.ones(1, 12, 12, dtype=torch.bool).tril())
    before = run_decoder(model, *inputs)
    for layer in language_model(model).layers:
        layer.self_attn.sliding_window = 2
    assert torch.equal(run_decoder(model, *inputs), before)
