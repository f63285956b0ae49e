"""Question 1 to a new GPU: how fast are matrix products of the model's own shapes, both ways?"""

from typing import Any

import torch

from finetune.benchmark.choices import BenchSize, Workload
from finetune.benchmark.dimensions import Dimensions, dimensions_of
from finetune.benchmark.statistics import median
from finetune.benchmark.timing import repeat
from finetune.model.dtype import to_torch_dtype

# 16 and 32 examples at 224 px with 32 text tokens.
_TOKENS = (4608, 9216)
_TINY_TOKENS = (64, 128)
_SECONDS = 0.3


def measure_products(workload: Workload, device: torch.device) -> list[dict[str, Any]]:
    """Time y = x W^T and dx = dy W for the widest matrices of both generations and of the image encoder."""
    tokens = _TINY_TOKENS if workload.size is BenchSize["tiny"] else _TOKENS
    dtype = to_torch_dtype(workload.precision)
    rows = []
    for num_tokens in tokens:
        for name, (inputs, outputs) in _shapes(workload).items():
            x = torch.randn(num_tokens, inputs, device=device, dtype=dtype)
            weight = torch.randn(outputs, inputs, device=device, dtype=dtype)
            dy = torch.randn(num_tokens, outputs, device=device, dtype=dtype)
            flops = 2.0 * num_tokens * inputs * outputs
            rows.append(
                {
                    "matrix": name,
                    "tokens": num_tokens,
                    "inputs": inputs,
                    "outputs": outputs,
                    "forward_tflops": flops / median(_seconds(x, weight.T, device)) / 1e12,
                    "backward_tflops": flops / median(_seconds(dy, weight, device)) / 1e12,
                }
            )
    return rows


def _seconds(first: torch.Tensor, second: torch.Tensor, device: torch.device) -> list[float]:
    return repeat(lambda: torch.matmul(first, second), device, seconds=_SECONDS)


def _shapes(workload: Workload) -> dict[str, tuple[int, int]]:
    first, second = (dimensions_of(workload.size, generation) for generation in (1, 2))

    def up(dimensions: Dimensions) -> tuple[int, int]:
        return dimensions.width, dimensions.intermediate

    return {
        "PaliGemma 1, MLP up": up(first),
        "PaliGemma 1, MLP down": up(first)[::-1],
        "PaliGemma 2, MLP up": up(second),
        "PaliGemma 2, MLP down": up(second)[::-1],
        "image encoder, MLP up": (first.vision_width, first.vision_intermediate),
    }
