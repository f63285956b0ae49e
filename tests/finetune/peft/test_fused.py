"""Fused LoRA linears: peft's numbers, gradients and names, with fewer products and less kept for the backward pass."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from finetune.model.choices import TinyModel
from finetune.peft.fused import fuse_adapters, unfuse_adapters
from finetune.peft.lora import Lora
from finetune.settings import PartFlags, Precision

TOKENS, INPUTS, OUTPUTS, RANK = 24, 64, 96, 4
SMALL = {"vision_width": 32, "vision_depth": 1, "decoder_width": 64, "decoder_depth": 1}


class Projections(nn.Module):
    """Three layers over one input, as a decoder's attention has them."""

    def __init__(self, bias: bool = False) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(INPUTS, OUTPUTS, bias=bias) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.q_proj(x) + self.k_proj(x) + self.v_proj(x)
        return total


def adapted(
    *,
    base: torch.dtype = torch.float32,
    adapters: torch.dtype = torch.float32,
    dropout: float = 0.0,
    bias: bool = False,
    **settings: object,
) -> nn.Module:
    """Return frozen projections with peft's adapters, none of whose numbers is zero."""
    torch.manual_seed(0)
    model = Projections(bias).to(base).requires_grad_(False)
    # 3 / 4 is no power of two: where it is multiplied makes a difference to rounding.
    config = LoraConfig(r=RANK, lora_alpha=3, lora_dropout=dropout, target_modules=r".*_proj", **settings)
    inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            draws = torch.Generator().manual_seed(len(name))
            parameter.data = torch.randn(parameter.shape, generator=draws).to(adapters)
    return model


def inputs(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, TOKENS // 2, INPUTS, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()


def results(model: nn.Module, x: Tensor, *, autocast: bool = False) -> list[Tensor]:
    """Return the output, then the gradients of the input and of every adapter."""
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        output = model(x)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(2)).to(output.dtype)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), [x, *trained])]


def deviations(left: list[Tensor], right: list[Tensor]) -> list[float]:
    pairs = zip(left, right, strict=True)
    return [float((one.double() - other.double()).norm() / other.double().norm()) for one, other in pairs]


@pytest.mark.parametrize("bias", [False, True])
def test_outputs_and_gradients_are_those_of_peft(bias: bool) -> None:
    model = adapted(bias=bias)
    expected = results(model, inputs())
    assert fuse_adapters(model) == 3
    assert max(deviations(results(model, inputs()), expected)) < 1e-6
    unfuse_adapters(model)
    assert deviations(results(model, inputs()), expected) == [0.0] * len(expected)


def test_in_float64_they_agree_to_the_last_digits() -> None:
    model = adapted(base=torch.float64, adapters=torch.float64)
    expected = results(model, inputs(torch.float64))
    fuse_adapters(model)
    assert max(deviations(results(model, inputs(torch.float64)), expected)) < 1e-14


@pytest.mark.parametrize("base", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("stream", [torch.bfloat16, torch.float32])
def test_under_autocast_they_are_at_least_as_near_to_the_exact_ones_as_pefts(
    base: torch.dtype, stream: torch.dtype
) -> None:
    rounded = adapted(base=base)
    exact = adapted()
    exact.load_state_dict(rounded.state_dict())
    truth = results(exact, inputs(stream).detach().float().requires_grad_())
    of_peft = results(rounded, inputs(stream), autocast=True)
    fuse_adapters(rounded)
    ours = results(rounded, inputs(stream), autocast=True)
    assert [tensor.dtype for tensor in ours] == [tensor.dtype for tensor in of_peft]
    for own, theirs in zip(deviations(ours, truth), deviations(of_peft, truth), strict=True):
        assert own < 1.05 * theirs < 0.02


def test_formats_that_differ_without_autocast_are_left_to_peft() -> None:
    model = adapted(base=torch.bfloat16)
    expected = results(model, inputs(torch.bfloat16))
    fuse_adapters(model)
    assert deviations(results(model, inputs(torch.bfloat16)), expected) == [0.0] * len(expected)


class CountedProducts(TorchDispatchMode):
    """Count matrix products, and the passes besides over tensors as large as an input."""

    def __init__(self) -> None:
        super().__init__()
        self.products = 0
        self.passes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        if func._schema.name in {"aten::mm", "aten::addmm", "aten::addmm_"}:
            self.products += 1
        elif func._schema.name in {"aten::mul", "aten::add"} and result.numel() >= TOKENS * INPUTS:
            self.passes += 1
        return result


def saved_bytes(run: Callable[[], object]) -> int:
    """Return the memory kept for the backward pass, each storage once."""
    storages: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with saved_tensors_hooks(note, lambda tensor: tensor):
        kept = run()
    del kept
    return sum(storages.values())


def test_one_layer_takes_eight_products_and_no_pass_besides() -> None:
    model, x = adapted(), inputs()
    weights = torch.ones(*x.shape[:-1], OUTPUTS)
    fuse_adapters(model)
    with CountedProducts() as counted:
        output = model.q_proj(x)  # type: ignore[operator]
    # Through W, through A, and through B into the same tensor.
    assert (counted.products, counted.passes) == (3, 0)
    with CountedProducts() as counted:
        output.backward(weights)
    # Through B, for A, for B, through W, and through A into the same tensor.
    assert (counted.products, counted.passes) == (5, 0)
    unfuse_adapters(model)
    with CountedProducts() as counted:
        model.q_proj(x).backward(weights)  # type: ignore[operator]
    # The scaled output of the adapter, the sum, the scaled gradient, and the sum of the input's two.
    assert (counted.products, counted.passes) == (8, 4)


def test_layers_over_one_input_keep_it_once() -> None:
    model = adapted(base=torch.bfloat16)
    x = inputs(torch.bfloat16)

    def run() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            output: Tensor = model(x)
        return output

    of_peft = saved_bytes(run)
    fuse_adapters(model)
    hidden, weights = 3 * TOKENS * RANK * 2, 3 * INPUTS * OUTPUTS * 2 + 3 * RANK * (INPUTS + OUTPUTS) * 2
    assert saved_bytes(run) == TOKENS * INPUTS * 2 + hidden + weights
    # peft keeps each layer's own rounded copy of the input.
    assert of_peft >= 3 * TOKENS * INPUTS * 2 + hidden + weights


def test_dropout_keeps_one_byte_for_each_input_and_no_copy_of_it() -> None:
    model = adapted(base=torch.bfloat16, dropout=0.3)
    x = inputs(torch.bfloat16)

    def run() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            output: Tensor = model(x)
        return output

    fuse_adapters(model)
    with_dropout = saved_bytes(run)
    model.eval()
    without = saved_bytes(run)
    assert with_dropout - without == 3 * TOKENS * INPUTS
    model.train()
    unfuse_adapters(model)
    # On the CPU, peft keeps factors in the format of the input where a GPU keeps bytes.
    assert saved_bytes(run) - without >= 3 * TOKENS * INPUTS * 3


def test_dropout_drops_the_share_that_was_asked_for_and_its_gradient_is_that_of_what_was_kept() -> None:
    model = adapted(base=torch.float64, adapters=torch.float64, dropout=0.3)
    fuse_adapters(model)
    layer = model.q_proj

    def output(x: Tensor) -> Tensor:
        torch.manual_seed(5)
        result: Tensor = layer(x)  # type: ignore[operator]
        return result

    assert torch.autograd.gradcheck(output, inputs(torch.float64))
    torch.manual_seed(0)
    ones = torch.ones(4000, INPUTS, dtype=torch.float64)
    with torch.no_grad():
        difference = layer(ones).mean(0) - layer.eval()(ones)[0]  # type: ignore[operator]
        spread = layer.train()(ones).std()  # type: ignore[operator]
    assert float(difference.abs().max()) < 0.1 * float(spread)
    assert float(spread) > 0


def test_checkpointing_computes_the_same_gradients_with_the_same_dropout() -> None:
    model = adapted(dropout=0.3)
    fuse_adapters(model)
    gradients = []
    for run in (model, lambda x: checkpoint(model, x, use_reentrant=False)):
        torch.manual_seed(4)
        x = inputs()
        run(x).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_an_input_without_gradient_is_given_none() -> None:
    model = adapted()
    fuse_adapters(model)
    x = inputs().detach()
    model(x).sum().backward()
    assert x.grad is None
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


@contextmanager
def merged(layer: LoraLayer) -> Iterator[None]:
    layer.merge()
    yield
    layer.unmerge()


def test_merged_and_disabled_adapters_are_left_to_peft() -> None:
    model = adapted()
    layer = model.q_proj
    assert isinstance(layer, LoraLayer)
    with torch.no_grad():
        adapter_off = layer.base_layer(inputs())
        expected = layer(inputs())  # type: ignore[operator]
        fuse_adapters(model)
        layer.enable_adapters(False)
        assert torch.equal(layer(inputs()), adapter_off)  # type: ignore[operator]
        layer.enable_adapters(True)
        with merged(layer):
            torch.testing.assert_close(layer(inputs()), expected, rtol=1e-5, atol=1e-5)  # type: ignore[operator]
        torch.testing.assert_close(layer(inputs()), expected, rtol=1e-5, atol=1e-5)  # type: ignore[operator]


def test_dora_and_trained_bases_stay_with_peft() -> None:
    assert fuse_adapters(adapted(use_dora=True)) == 0
    assert fuse_adapters(adapted().requires_grad_(True)) == 0


def test_classes_names_and_what_peft_saves_stay_the_same() -> None:
    model = adapted()
    before = get_peft_model_state_dict(model, save_embedding_layers=False)
    classes = [type(module) for module in model.modules()]
    fuse_adapters(model)
    after = get_peft_model_state_dict(model, save_embedding_layers=False)
    assert [type(module) for module in model.modules()] == classes
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_lora_fuses_every_layer_that_it_adapts() -> None:
    model = TinyModel(**SMALL).load().model
    Lora(rank=2, connector=True, image_encoder=True).apply(model, PartFlags(), Precision.fp32)
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert len(layers) == 7 + 1 + 6
    assert all("forward" in vars(layer) for layer in layers)


_COMPILE = """
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from finetune.peft.fused import fuse_adapters

for dropout in (0.0, 0.2):
    model = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=2, lora_dropout=dropout, target_modules=["0"]), model)
    assert fuse_adapters(model) == 1
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    compiled(torch.randn(3, 8, requires_grad=True)).sum().backward()
"""


@pytest.mark.slow
def test_a_fused_layer_compiles_into_one_graph() -> None:
    # In a process of its own: the compiler cannot look into the shape checks that tests put around every function.
    assert subprocess.run([sys.executable, "-c", _COMPILE], check=False).returncode == 0
