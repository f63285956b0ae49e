"""Questions 3, 4 and 5 to a new GPU: what a layer costs plain, adapted, fused, compiled and as a CUDA graph.

Everything goes through `run_decoder` of the training forward, on a model of one layer (or of all, for the graph).
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch._dynamo.utils import counters

from finetune.benchmark.choices import BenchSize, Method, Workload
from finetune.benchmark.dimensions import dimensions_of
from finetune.benchmark.model import build_model, our_model
from finetune.benchmark.statistics import median
from finetune.benchmark.timing import repeat, take_call
from finetune.model.decoder import run_decoder
from finetune.model.dtype import to_torch_dtype
from finetune.peft.fused import unfuse_adapters
from finetune.settings import Precision

Layer = Callable[[Tensor], Tensor]

_TOKENS = 9216
_TINY_TOKENS = 64
_LENGTH = 288
_TINY_LENGTH = 16
_SECONDS = 0.3
# As many lengths as an unpacked epoch has at least, and fewer than torch's limit of recompilations.
_NUM_LENGTHS = 6


def measure_layers(workload: Workload, device: torch.device) -> dict[str, Any]:
    """Time one layer forwards and backwards in every way, count graphs, and replay all layers as one graph."""
    return {
        "compiler": _compiler(device),
        "one_layer": _one_layer(workload, device),
        "compiling": _compiling(workload, device),
        "all_layers": _all_layers(workload, device),
    }


def _one_layer(workload: Workload, device: torch.device) -> list[dict[str, Any]]:
    rows = []
    for name, model in _models(workload, device).items():
        states, run = _prepared(model, workload, device, _num_rows(workload))
        num_tokens = states.shape[0] * states.shape[1]
        for how, layer in (("eager", run), ("compiled", _compiled(run, device))):
            seconds = median(repeat(partial(_both_ways, layer, states), device, seconds=_SECONDS))
            rows.append({"layer": name, "how": how, "microseconds_per_token": 1e6 * seconds / num_tokens})
    return rows


def _compiling(workload: Workload, device: torch.device) -> dict[str, Any]:
    """Tell how long a first call takes, without and with an earlier one's cache, and how many graphs lengths cost."""
    model = _models(workload, device)["fused adapters"]
    states, run = _prepared(model, workload, device, _num_rows(workload))
    found: dict[str, Any] = {}
    for name in ("first_seconds", "again_seconds"):
        torch._dynamo.reset()
        compiled = _compiled(run, device)
        turn, _ = take_call(partial(_both_ways, compiled, states), device)
        found[name] = turn.wall
    for name, changes in (("graphs_of_one_length", False), ("graphs_of_many_lengths", True)):
        torch._dynamo.reset()
        counters.clear()
        for number in range(_NUM_LENGTHS):
            some, run = _prepared(model, workload, device, 1 + number if changes else 2)
            _both_ways(_compiled(run, device), some)
        found[name] = int(counters["stats"]["unique_graphs"])
    return found


def _all_layers(workload: Workload, device: torch.device) -> dict[str, Any]:
    """Compare the eager decoder with its replay as a CUDA graph, for one example: what the host costs."""
    if device.type != "cuda":
        return {"failed": "CUDA graphs need a GPU"}
    dimensions = dimensions_of(workload.size, workload.generation)
    model = our_model(build_model(workload, dimensions, device), workload)
    states, run = _prepared(model, workload, device, 1)
    turns = [take_call(partial(_both_ways, run, states), device)[0] for _ in range(10)]
    found = {
        "eager_ms": 1e3 * median([turn.wall for turn in turns[3:]]),
        "eager_host_ms": 1e3 * median([turn.host for turn in turns[3:]]),
    }
    try:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            _both_ways(run, states)
        replays = [take_call(graph.replay, device)[0] for _ in range(10)]
    # Whether it can be captured is the question.
    except RuntimeError as refusal:
        return {**found, "failed": str(refusal).partition("\n")[0][:160]}
    return {**found, "graph_ms": 1e3 * median([turn.wall for turn in replays[3:]])}


def _models(workload: Workload, device: torch.device) -> dict[str, nn.Module]:
    """Return one-layer models: plain, with adapters as peft computes them, and as this project does."""
    dimensions = replace(dimensions_of(workload.size, workload.generation), layers=1, vision_layers=1, rows=1024)
    adapted = replace(workload, method=Method.lora)
    base = build_model(adapted, dimensions, device)
    unfused = our_model(base, adapted)
    unfuse_adapters(unfused)
    return {"frozen": base, "peft adapters": unfused, "fused adapters": our_model(base, adapted)}


def _num_rows(workload: Workload) -> int:
    is_tiny = workload.size is BenchSize["tiny"]
    return (_TINY_TOKENS if is_tiny else _TOKENS) // _length(workload)


def _length(workload: Workload) -> int:
    return _TINY_LENGTH if workload.size is BenchSize["tiny"] else _LENGTH


def _prepared(
    model: nn.Module, workload: Workload, device: torch.device, num_rows: int
) -> tuple[Float[Tensor, "rows tokens hidden"], Layer]:
    """Return random states, and what takes them through the decoder's layers."""
    length = _length(workload)
    width = dimensions_of(workload.size, workload.generation).width
    dtype = to_torch_dtype(workload.precision)
    states = torch.randn(num_rows, length, width, device=device, dtype=dtype, requires_grad=True)
    positions: Int64[Tensor, "rows tokens"] = torch.arange(length, device=device).repeat(num_rows, 1)
    allowed: Bool[Tensor, "rows tokens tokens"] = torch.ones(num_rows, length, length, device=device).tril().bool()
    is_mixed = workload.precision is not Precision.fp32

    def run(states: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_mixed):
            return run_decoder(model, states, positions, allowed)

    return states, run


def _both_ways(layer: Layer, states: Tensor) -> None:
    torch.autograd.backward(layer(states).sum())


def _compiler(device: torch.device) -> str:
    # Where there is no GPU only the tracing is asked about: compiling for a processor takes minutes.
    return "inductor" if device.type == "cuda" else "aot_eager"


def _compiled(layer: Layer, device: torch.device) -> Layer:
    compiled: Layer = torch.compile(layer, backend=_compiler(device), dynamic=False)
    return compiled
