"""Updates against the arithmetic on paper, and settings that cannot run."""

import importlib.util
import subprocess
import sys

import pytest
import torch
from torch import nn

from finetune.engine.optimizer import Adafactor, AdamW, AdamW8bit, Muon, OptimizerChoice, Sgd
from finetune.settings import Precision

RATE, DECAY = 0.01, 0.1
START, GRADIENTS = 2.0, (0.5, -3.0)


def trained(choice: OptimizerChoice, weight_decay: float) -> list[float]:
    """Return one weight after each of two updates."""
    weight = nn.Parameter(torch.tensor([[START]], dtype=torch.float64))
    group = {"params": [("kernel", weight)], "lr": RATE, "weight_decay": weight_decay}
    optimizer = choice.build([group])
    values = []
    for gradient in GRADIENTS:
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        values.append(weight.item())
    return values


@pytest.mark.parametrize("weight_decay", [0.0, DECAY])
def test_adamw_does_what_the_paper_says(weight_decay: float) -> None:
    expected, weight, first, second = [], START, 0.0, 0.0
    for step, gradient in enumerate(GRADIENTS, start=1):
        weight *= 1 - RATE * weight_decay
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        weight -= RATE * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)) ** 0.5 + 1e-8)
        expected.append(weight)
    assert trained(AdamW(), weight_decay) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight_decay", [0.0, DECAY])
def test_sgd_decays_like_adamw_and_keeps_decay_out_of_its_momentum(weight_decay: float) -> None:
    expected, weight, momentum = [], START, 0.0
    for gradient in GRADIENTS:
        weight *= 1 - RATE * weight_decay
        momentum = 0.9 * momentum + gradient
        weight -= RATE * momentum
        expected.append(weight)
    assert trained(Sgd(), weight_decay) == pytest.approx(expected, rel=1e-12)


def test_adafactor_decays_like_adamw() -> None:
    without, with_decay = trained(Adafactor(), 0.0)[0], trained(Adafactor(), DECAY)[0]
    assert without - with_decay == pytest.approx(START * RATE * DECAY, rel=1e-9)


@pytest.mark.parametrize("choice", [AdamW(), Adafactor(), Sgd()])
def test_a_learning_rate_of_zero_moves_no_weight(choice: OptimizerChoice) -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    optimizer = choice.build([{"params": [("kernel", weight)], "lr": 0.0, "weight_decay": DECAY}])
    weight.grad = torch.ones(3, 3)
    optimizer.step()
    assert torch.equal(weight, torch.ones(3, 3))


@pytest.mark.parametrize("choice", [AdamW(), Sgd(nesterov=True, weight_decay=DECAY)])
def test_one_kernel_for_all_parameters_computes_what_a_loop_over_them_does(
    choice: OptimizerChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for has_kernel in (True, False):
        if not has_kernel:
            monkeypatch.setattr("finetune.engine.optimizer.has_fused_kernel", lambda groups: False)
        draws = torch.Generator().manual_seed(0)
        weights = [nn.Parameter(torch.randn(size, 7, generator=draws)) for size in (1, 5, 300)]
        named = [(str(number), weight) for number, weight in enumerate(weights)]
        optimizer = choice.build([{"params": named, "lr": RATE, "weight_decay": DECAY}])
        assert bool(optimizer.defaults["fused"]) is has_kernel
        for _ in range(20):
            for weight in weights:
                weight.grad = torch.randn(weight.shape, generator=draws)
            optimizer.step()
        results.append(torch.cat([weight.detach().flatten() for weight in weights]))
    torch.testing.assert_close(*results, rtol=1e-6, atol=1e-6)


def test_a_device_without_such_a_kernel_is_asked_for_none() -> None:
    weight = nn.Parameter(torch.ones(3, 3, device="meta"))
    optimizer = AdamW().build([{"params": [("kernel", weight)], "lr": RATE, "weight_decay": DECAY}])
    assert optimizer.defaults["fused"] is None


def test_muon_refuses_to_decay_adapters_before_anything_is_loaded() -> None:
    with pytest.raises(ValueError, match=r"decay_adapters=true has no effect with optimizer=muon.*set it to false"):
        Muon(decay_adapters=True).check(Precision.fp32)
    Muon().check(Precision.fp32)


def test_8_bit_adamw_without_bitsandbytes_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs bitsandbytes.*\[bnb\].*optimizer=adamw"):
        AdamW8bit().check(Precision.fp32)


def test_8_bit_adamw_updates_like_adamw() -> None:
    pytest.importorskip("bitsandbytes", reason="the extra `bnb` is not installed")
    weights = []
    for choice in (AdamW(), AdamW8bit()):
        weight = nn.Parameter(torch.linspace(-1, 1, 8192).view(64, 128))
        optimizer = choice.build([{"params": [("kernel", weight)], "lr": RATE, "weight_decay": DECAY}])
        weight.grad = torch.linspace(-3, 2, 8192).view(64, 128)
        optimizer.step()
        weights.append(weight.detach())
    assert torch.allclose(*weights, atol=0.1 * RATE)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (AdamW, {"learning_rate": 0.0}, "learning_rate must be above 0"),
        (AdamW, {"weight_decay": -0.1}, "weight_decay must be at least 0"),
        (AdamW, {"decay_parts": ["vision"]}, "decay_parts must name parts of the model .*image_encoder.*'vision'"),
        (AdamW, {"beta2": 1.0}, "beta2 must be between"),
        (AdamW8bit, {"epsilon": 0.0}, "epsilon must be above 0"),
        (AdamW8bit, {"min_8bit_size": 0}, "min_8bit_size must be at least 1"),
        (Adafactor, {"beta2_decay": 0.5}, "beta2_decay must be between"),
        (Sgd, {"momentum": 1.0}, "momentum must be between"),
        (Sgd, {"momentum": 0.0, "nesterov": True}, "nesterov needs a momentum"),
    ],
)
def test_settings_out_of_range_are_refused(kind: type[AdamW], settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**settings)


def test_choosing_an_optimizer_and_a_schedule_imports_no_torch() -> None:
    code = "import sys; import finetune.engine.optimizer, finetune.engine.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
