"""The kernels that need a GPU against the masked reference: `pytest -m gpu tests/gpu` on a machine with CUDA."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from finetune.data.layout import Arrangement
from finetune.model.attention_plan import Kernel, choose_kernel, plan_attention

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
# Heads of PaliGemma 1 and 2, with the soft-cap of the second.
GENERATIONS = {"paligemma1": ((8, 1, 1), None), "paligemma2": ((8, 4, 4), 50.0)}
HEAD_DIM = 256
# Of the largest number; what bf16 rounds is 2**-8 of a number.
TOLERANCES = {torch.bfloat16: 2e-2, torch.float32: 1e-3}


def load_cases() -> ModuleType:
    spec = importlib.util.spec_from_file_location("attention_cases", Path(__file__).with_name("attention_cases.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cases = load_cases()


@pytest.mark.parametrize("times", [1, 29], ids=["short", "long"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bf16", "fp32"])
@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("arrangement", Arrangement, ids=lambda arrangement: arrangement.name)
def test_what_a_gpu_chooses_equals_the_reference(
    arrangement: Arrangement, generation: str, dtype: torch.dtype, times: int
) -> None:
    device = torch.device("cuda")
    num_heads, soft_cap = GENERATIONS[generation]
    batch = cases.batch_of(arrangement, times).to(device)
    heads = cases.heads_for(batch, num_heads, HEAD_DIM, dtype, device)
    kernel = choose_kernel(arrangement, device, dtype, soft_cap)
    found = cases.attended_by(batch, plan_attention(batch, kernel), heads, soft_cap)
    expected = cases.reference(batch, heads, soft_cap)
    tolerance = TOLERANCES[dtype]
    for ours, theirs in ((found.everywhere, expected.everywhere), (found.tails, expected.tails)):
        assert float((ours.double() - theirs).abs().max()) < tolerance * float(theirs.abs().max()), kernel
    for gradient, wanted in zip(found.gradients, expected.gradients, strict=True):
        assert float((gradient.double() - wanted).norm() / wanted.norm()) < tolerance, kernel


@pytest.mark.parametrize("arrangement", [Arrangement.equal, Arrangement.packed])
def test_the_calls_without_a_mask_use_a_flash_kernel(arrangement: Arrangement) -> None:
    """A silent fall back to the materialised mask would be right, and slow."""
    device = torch.device("cuda")
    batch = cases.batch_of(arrangement, 29).to(device)
    heads = cases.heads_for(batch, (8, 1, 1), HEAD_DIM, torch.bfloat16, device)
    kernel = choose_kernel(arrangement, device, torch.bfloat16, None)
    assert kernel in (Kernel.two_calls, Kernel.varlen)
    plan = plan_attention(batch, kernel)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        plan.everywhere(*heads, scale=0.1, soft_cap=None)
    names = {event.key for event in profile.key_averages()}
    assert any("flash" in name or "cudnn" in name for name in names), sorted(names)
    assert not any("_attention_math" in name for name in names), sorted(names)
