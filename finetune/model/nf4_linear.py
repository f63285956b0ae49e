"""The decoder's linear layers into NF4, one after another. Imported only where bitsandbytes is wanted: that is slow."""

import re

import bitsandbytes
import torch
from torch import Tensor, nn

# Everything that a decoder layer multiplies by, whatever levels a key layout has above it; no embedding, no head.
_QUANTIZED = re.compile(r"(.*\.)?language_model\.(.*\.)?(self_attn\.(q|k|v|o)_proj|mlp\.(gate|up|down)_proj)")


class Nf4Linear(bitsandbytes.nn.Linear4bit):  # type: ignore[misc]
    """A frozen linear in NF4 that computes in the format of autocast, or else of its input, and always the same way.

    bitsandbytes' own keeps the format of the first input that it ever sees. And in evaluation, on a CPU that multiplies
    bf16 itself, it lays the weight out anew for good, through which no gradient passes when training goes on.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the weight."""
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        result: Tensor = bitsandbytes.matmul_4bit(
            x.to(dtype), self.weight, bias=bias, quant_state=self.weight.quant_state
        )
        return result


def quantize_decoder(model: nn.Module, *, has_double_scales: bool) -> None:
    """Put every linear layer of the decoder into NF4, in place. Each plain weight is let go before the next is read.

    Where the weights are, they are quantised: on the CPU as loading leaves them, so that the numbers are the same
    whatever device trains, and only NF4 ever reaches it.

    Raises:
        ValueError: If bitsandbytes has nothing for the device that will compute.
    """
    check_device()
    layers = [(name, module) for name, module in model.named_modules() if _QUANTIZED.fullmatch(name)]
    for name, linear in layers:
        assert type(linear) is nn.Linear, f"{name} is {type(linear).__name__}: it was adapted or quantised before"
        parent, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(parent), attribute, _quantized(linear, has_double_scales))
        # The list holds on to the layer.
        linear.weight = nn.Parameter(torch.empty(0), requires_grad=False)
    # By this peft knows that it must look for such layers.
    model.is_loaded_in_4bit = True  # type: ignore[assignment]


def check_device() -> None:
    """Refuse a device that bitsandbytes does not compute on."""
    accelerator = torch.accelerator.current_accelerator()
    kind = "cpu" if accelerator is None else accelerator.type
    known = sorted(bitsandbytes.supported_torch_devices)
    if kind not in known:
        raise ValueError(
            f"peft.quantization=nf4 needs a device that bitsandbytes supports ({', '.join(known)}), and this is "
            f"{kind}; choose peft=lora"
        )


def _quantized(linear: nn.Linear, has_double_scales: bool) -> Nf4Linear:
    weight = linear.weight.detach()
    with torch.device("meta"):
        quantized: Nf4Linear = Nf4Linear(linear.in_features, linear.out_features, bias=False)
    quantized.weight = bitsandbytes.nn.Params4bit(
        weight, requires_grad=False, compress_statistics=has_double_scales, quant_type="nf4"
    ).to(weight.device)
    quantized.bias = linear.bias
    quantized.train(linear.training)
    return quantized
