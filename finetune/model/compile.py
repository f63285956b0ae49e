"""Each kind of layer as one compiled graph, where a run asks for it (`training.compile_layers`).

All layers of the decoder are one function with other weights, and so are all of the image encoder's: torch compiles
such a function once, not once a layer. The decoder's last layer, which is trimmed, is a function of its own, and its
first one needs no gradient of what it is given where nothing before it trains. So a model of any depth is four graphs
at most, for each shape of a batch; where shapes keep changing, torch compiles a kind once more, for all sizes.

What lies between matrix products is fused. The products, attention and adapters stay what they are, so that numbers
differ by rounding.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from finetune.model.attention import masked_attention
from finetune.reporting.progress import print_to_stderr

Run = Callable[[Tensor], Tensor]

BACKEND = "inductor"
# The same random draws as without a compiler, so that dropout drops the same numbers.
_OPTIONS = {"fallback_random": True}
_CPP_COMPILERS = ("g++", "clang++", "c++")
_is_wanted: ContextVar[bool] = ContextVar("are layers compiled", default=False)


class NotCompilableError(ValueError):
    """Layers cannot be compiled here."""


def check_compiler(device: torch.device) -> None:
    """Refuse where torch's compiler lacks what it makes code with.

    Raises:
        NotCompilableError: Naming what is missing.
    """
    if device.type == "cuda" and find_spec("triton") is None:
        raise NotCompilableError(_refusal("torch compiles for a GPU with triton, which is not installed"))
    named = os.environ.get("CXX")
    if device.type == "cpu" and not any(shutil.which(name) for name in ((named,) if named else _CPP_COMPILERS)):
        raise NotCompilableError(_refusal(f"no C++ compiler is there ({named or ', '.join(_CPP_COMPILERS)})"))


@contextmanager
def compiling_layers() -> Iterator[None]:
    """Compile the layers that are run inside the block, also where the backward pass computes them again."""
    before = _is_wanted.set(True)
    try:
        yield
    finally:
        _is_wanted.reset(before)


def is_compiling_layers() -> bool:
    """Whether layers are to be compiled now."""
    return _is_wanted.get()


def compiled(layer: Run) -> Run:
    """Return a layer as a call of its kind's graph, which the first call compiles.

    Args:
        layer: A `partial` of a function of a module, its one positional argument yet, that lacks the states alone.

    Raises:
        NotCompilableError: If the module waits for something when it is called, or when called, if it cannot be
            compiled.
    """
    assert isinstance(layer, partial)
    (module,) = layer.args
    if module._forward_pre_hooks or module._forward_hooks:
        raise NotCompilableError(
            _refusal("a layer waits for something as it is called: distributed=fsdp2 and zero3 gather its weights then")
        )
    return partial(_call, layer)


def forget_graphs() -> None:
    """Begin without graphs, so that those of other shapes or other weights count for nothing."""
    torch._dynamo.reset()
    _graph.cache_clear()


@cache
def _graph(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    # Its backward pass, which differentiates inside, cannot be read by the compiler, only recorded as it runs.
    torch.compiler.allow_in_graph(masked_attention)  # type: ignore[no-untyped-call]
    options: dict[str, Any] = _OPTIONS if BACKEND == "inductor" else {}
    made: Callable[..., Tensor] = torch.compile(function, fullgraph=True, backend=BACKEND, options=options)
    return made


def _call(layer: "partial[Tensor]", states: Tensor) -> Tensor:
    # The compiler takes a second to import, and longer to load; only those who want it wait.
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException
    from torch._dynamo.utils import counters

    before, began = counters["stats"]["unique_graphs"], time.perf_counter()
    try:
        result = _graph(layer.func)(*layer.args, states, **layer.keywords)
    except FailOnRecompileLimitHit as failure:
        raise NotCompilableError(
            _refusal("batches come in more shapes than torch compiles for; data.row_tokens makes them alike")
        ) from failure
    except TorchDynamoException as failure:
        raise NotCompilableError(_refusal(_first_line(failure))) from failure
    if counters["stats"]["unique_graphs"] > before and os.environ.get("RANK", "0") == "0":
        seconds = time.perf_counter() - began
        shape = " x ".join(str(size) for size in states.shape)
        print_to_stderr(f"compiled {layer.func.__module__}.{layer.func.__name__} for {shape}: {seconds:.1f} s")
    return result


def _refusal(why: str) -> str:
    return f"training.compile_layers=true: {why}; set training.compile_layers=false"


def _first_line(failure: Exception) -> str:
    return str(failure).strip().partition("\n")[0][:200]
