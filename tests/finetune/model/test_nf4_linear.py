"""The decoder's linears in NF4, and nothing else; the same products in training and in evaluation."""

import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("bitsandbytes", reason="the extra `bnb` is not installed")

import bitsandbytes

from finetune.model.choices import TinyModel
from finetune.model.freeze import trainable_by_part
from finetune.model.in_force import computing_format, describe
from finetune.model.nf4 import dense_weight, is_nf4, nf4_notes, num_weights
from finetune.model.nf4_linear import Nf4Linear, quantize_decoder
from finetune.settings import Precision

SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 2}


def tiny(dtype: Precision = Precision.fp32, *, quantized: bool = True, has_double_scales: bool = True) -> nn.Module:
    model: nn.Module = TinyModel(dtype=dtype, **SMALL).load().model
    if quantized:
        quantize_decoder(model, has_double_scales=has_double_scales)
    return model


def projection(model: nn.Module) -> Nf4Linear:
    layer = model.get_submodule("model.language_model.layers.0.mlp.gate_proj")
    assert isinstance(layer, Nf4Linear)
    return layer


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def test_all_linears_of_the_decoder_are_quantised_and_nothing_else() -> None:
    plain, model = tiny(quantized=False), tiny()
    expected = {
        name
        for name, module in plain.named_modules()
        if isinstance(module, nn.Linear) and "language_model" in name and "lm_head" not in name
    }
    assert len(expected) == 2 * 7
    assert {name for name, module in model.named_modules() if is_nf4(module)} == expected
    for name, parameter in plain.named_parameters():
        if name.removesuffix(".weight") not in expected:
            assert torch.equal(parameter, model.get_parameter(name)), name


@pytest.mark.parametrize("has_double_scales", [False, True])
def test_a_weight_takes_half_a_byte_and_its_share_of_a_scale(has_double_scales: bool) -> None:
    weight = projection(tiny(has_double_scales=has_double_scales)).weight
    scales = weight.quant_state
    assert num_weights(weight) == 64 * 256
    assert weight.nbytes == num_weights(weight) / 2
    assert scales.absmax.nbytes == num_weights(weight) / 64 * (1 if has_double_scales else 4)


@pytest.mark.parametrize("dtype", [Precision.fp32, Precision.bf16])
def test_weights_are_rounded_by_a_tenth_of_their_spread(dtype: Precision) -> None:
    plain, quantized = projection_weight(tiny(dtype, quantized=False)), projection(tiny(dtype)).weight
    error = (dense_weight(quantized, torch.float32) - plain.float()).norm() / plain.float().norm()
    assert 0.05 < float(error) < 0.12


def projection_weight(model: nn.Module) -> Tensor:
    return model.get_parameter("model.language_model.layers.0.mlp.gate_proj.weight")


def test_products_and_gradients_are_those_of_the_rounded_weight() -> None:
    layer = projection(tiny())
    weight = dense_weight(layer.weight, torch.float32)
    x, y = random(5, 64).requires_grad_(), random(5, 64).requires_grad_()
    gradient = random(5, 256)
    layer(x).backward(gradient)
    (y @ weight.T).backward(gradient)
    torch.testing.assert_close(layer(x), y @ weight.T)
    torch.testing.assert_close(x.grad, y.grad)


def test_an_evaluation_in_between_changes_nothing() -> None:
    layer = projection(tiny(Precision.bf16)).train()
    x = random(5, 64).bfloat16()
    before, weight = layer(x), layer.weight.detach().clone()
    with torch.no_grad():
        assert torch.equal(layer.eval()(x), before)
    assert torch.equal(layer.weight, weight)
    trained = x.clone().requires_grad_()
    layer.train()(trained).sum().backward()
    assert trained.grad is not None
    assert torch.equal(layer(x), before)


def test_the_format_is_that_of_autocast_whatever_came_first() -> None:
    layer = projection(tiny())
    assert layer(random(2, 64)).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(random(2, 64)).dtype == torch.bfloat16
    assert layer(random(2, 64)).dtype == torch.float32


def test_counts_of_parameters_are_those_of_the_plain_model() -> None:
    assert trainable_by_part(tiny()) == trainable_by_part(tiny(quantized=False))


def test_what_is_in_force_is_said() -> None:
    model = tiny()
    assert "14 linear layers of the decoder in NF4 with doubly quantised scales" in nf4_notes(model)[0]
    assert "doubly" not in nf4_notes(tiny(has_double_scales=False))[0]
    assert computing_format(model) == "fp32"
    assert any("nf4 frozen" in line for line in describe(model))


def test_a_device_that_bitsandbytes_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bitsandbytes, "supported_torch_devices", {"hpu"})
    with pytest.raises(ValueError, match=r"needs a device that bitsandbytes supports \(hpu\), and this is cpu"):
        tiny()
