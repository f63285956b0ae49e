from collections.abc import Callable

import pytest
import torch
from torch import nn

from finetune.model.in_force import computing_format, describe


@pytest.mark.parametrize(("generation", "soft_cap"), [(1, "none"), (2, "3")])
def test_the_soft_cap_and_every_part_are_named(
    small_paligemma: Callable[..., nn.Module], generation: int, soft_cap: str
) -> None:
    model = small_paligemma(generation)
    model.model.vision_tower.bfloat16().requires_grad_(False)
    lines = "\n".join(describe(model))
    assert f"attention soft-cap: {soft_cap};" in lines
    assert "image_encoder bf16 frozen; connector fp32 trained; embeddings fp32 trained; decoder fp32 trained" in lines


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_coarsest_format_in_a_forward_is_found(dtype: torch.dtype) -> None:
    name = {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    assert computing_format(nn.Linear(2, 2)) == "fp32"
    assert computing_format(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, dtype=dtype))) == name
    with torch.autocast("cpu", dtype=dtype):
        assert computing_format(nn.Linear(2, 2)) == name
