from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

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


def own_inputs(rows: int = 2, tokens: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    """Return states, positions and a causal mask."""
    states = torch.randn(rows, tokens, 32, generator=torch.Generator().manual_seed(5))
    positions = torch.arange(tokens).expand(rows, -1)
    return states, positions, torch.ones(rows, tokens, tokens, dtype=torch.bool).tril()


@pytest.mark.parametrize("generation", [1, 2])
@torch.no_grad()
def test_residual_dropout_stands_where_the_original_has_it(
    small_paligemma: Callable[..., nn.Module], generation: int
) -> None:
    model = small_paligemma(generation)
    decoder = language_model(model)
    states, positions, allowed = own_inputs()
    torch.manual_seed(3)
    ours = decoder.norm(run_decoder(model, states, positions, allowed, residual_dropout=0.3))

    def drop(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return dropout(output, 0.3)

    # transformers' own layers, with dropout hung onto the modules whose results the original drops.
    for layer in decoder.layers:
        attended = layer.self_attn.o_proj if generation == 1 else layer.post_attention_layernorm
        attended.register_forward_hook(drop)
        layer.mlp.register_forward_hook(drop)
    mask = torch.where(allowed[:, None], 0.0, -torch.inf)
    by_kind = dict.fromkeys(("full_attention", "sliding_attention"), mask)
    torch.manual_seed(3)
    theirs = decoder(
        inputs_embeds=states,
        position_ids=positions,
        attention_mask=mask if generation == 1 else by_kind,
        use_cache=False,
    ).last_hidden_state
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert (ours - decoder.norm(run_decoder(model, states, positions, allowed))).abs().max() > 0.1


@pytest.mark.parametrize("generation", [1, 2])
@torch.no_grad()
def test_where_everything_is_dropped_the_residual_stream_passes_through(
    small_paligemma: Callable[..., nn.Module], generation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = own_inputs()
    monkeypatch.setattr("finetune.model.decoder.dropout", lambda states, rate: torch.zeros_like(states))
    assert torch.equal(run_decoder(small_paligemma(generation), *inputs, residual_dropout=0.5), inputs[0])


@torch.no_grad()
def test_each_number_is_dropped_on_its_own_and_the_rest_scaled_up(small_paligemma: Callable[..., nn.Module]) -> None:
    model = small_paligemma(1)
    decoder = language_model(model)
    del decoder.layers[1:]
    # Without an MLP, what the one layer adds is what attention returns.
    decoder.layers[0].mlp.down_proj.weight.zero_()
    states, positions, allowed = own_inputs(rows=8, tokens=64)
    attended = run_decoder(model, states, positions, allowed) - states
    torch.manual_seed(0)
    dropped = run_decoder(model, states, positions, allowed, residual_dropout=0.25) - states
    kept = dropped.abs() > 1e-3 * attended.abs()
    torch.testing.assert_close(dropped, torch.where(kept, attended / 0.75, 0.0), atol=1e-5, rtol=0)
    assert kept.float().mean() == pytest.approx(0.75, abs=0.01)
    for dim in range(3):
        is_like_neighbour = (kept == kept.roll(1, dim)).float().mean()
        assert is_like_neighbour == pytest.approx(0.75**2 + 0.25**2, abs=0.03), f"choices along dimension {dim}"


@torch.no_grad()
def test_a_rate_of_zero_draws_nothing(small_paligemma: Callable[..., nn.Module]) -> None:
    model, inputs, before = small_paligemma(2), own_inputs(), torch.get_rng_state()
    assert torch.equal(run_decoder(model, *inputs, residual_dropout=0.0), run_decoder(model, *inputs))
    assert torch.equal(torch.get_rng_state(), before)
